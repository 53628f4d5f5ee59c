"""Objectives whose average over noise of every distribution is known in closed form, with both its gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import special, stats

SCIPY = {
    "gaussian": stats.norm,
    "logistic": stats.logistic,
    "gumbel": stats.gumbel_r,
    "cauchy": stats.cauchy,
    "laplace": stats.laplace,
    "triangular": stats.triang(0.5, loc=-1, scale=2),
}
"""The same densities by another library."""


def characteristic(name: str, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E exp(i t w) and its derivative with respect to t, for t > 0."""
    if name == "gaussian":
        value = np.exp(-0.5 * t**2)
        return value, -t * value
    if name == "logistic":
        sinh, cosh = np.sinh(np.pi * t), np.cosh(np.pi * t)
        return np.pi * t / sinh, np.pi / sinh - np.pi**2 * t * cosh / sinh**2
    if name == "gumbel":
        gamma = special.gamma(1.0 - 1j * t)
        return gamma, -1j * special.digamma(1.0 - 1j * t) * gamma
    if name == "cauchy":
        return np.exp(-t), -np.exp(-t)
    if name == "laplace":
        return 1.0 / (1.0 + t**2), -2.0 * t / (1.0 + t**2) ** 2
    half = 0.5 * t
    sinc = np.sin(half) / half
    return sinc**2, sinc * (np.cos(half) - sinc) / half


@dataclass(frozen=True)
class WavesAndSteps:
    """f(y) = 1 + sin(a . y + c) + sum_i b_i H(y_i), H the step function; under L e its averages are exact.

    The wave's average is Im exp(i (a . x + c)) prod_j phi(u_j), u = L^T a > 0, phi the characteristic function; a
    step's is P(w > -x_i / L_ii), for a diagonal L only (b = 0 for any other).
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float = 0.4
    name: str = "waves and steps"

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        a, b = torch.tensor(self.a).to(y), torch.tensor(self.b).to(y)
        return 1.0 + torch.sin(y @ a + self.c) + (y > 0).to(y) @ b

    def value_and_gradient(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The steps' exact gradient is zero."""
        a = torch.tensor(self.a).to(y)
        return self(y), torch.cos(y @ a + self.c)[:, None] * a

    def smoothed(self, name: str, x: np.ndarray, scale: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient with respect to x, and with respect to the scale in its own shape."""
        d = len(x)
        matrix = np.diag(np.broadcast_to(scale, d)) if scale.ndim < 2 else scale
        a, b = np.array(self.a), np.array(self.b)
        phi, slope = characteristic(name, matrix.T @ a)
        wave = np.exp(1j * (a @ x + self.c))
        product = np.prod(phi)
        value = 1.0 + (wave * product).imag
        by_x = a * (wave * product).real
        by_matrix = np.outer(a, (wave * product * slope / phi).imag)
        if b.any():
            assert scale.ndim < 2
            width = np.diag(matrix)
            z = -x / width
            value += b @ SCIPY[name].sf(z)
            by_x = by_x + b * SCIPY[name].pdf(z) / width
            by_matrix = by_matrix + np.diag(b * SCIPY[name].pdf(z) * z / width)
        if scale.ndim == 2:
            return float(value), by_x, by_matrix
        diagonal = np.diag(by_matrix)
        return float(value), by_x, diagonal if scale.ndim else np.array(diagonal.sum())


@dataclass(frozen=True)
class Windows:
    """f(y) = prod_i g_i(y_i), g_i constant between places and zero beyond the last: products of sums of steps."""

    places: tuple[tuple[float, ...], ...]
    """Where each g_i jumps."""
    jumps: tuple[tuple[float, ...], ...]
    """By how much; they add up to zero."""
    name: str = "windows"

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        value = torch.ones_like(y[:, 0])
        for column, places, jumps in zip(y.T, self.places, self.jumps, strict=True):
            value = value * ((column[:, None] > torch.tensor(places).to(y)).to(y) @ torch.tensor(jumps).to(y))
        return value

    def smoothed(self, name: str, x: np.ndarray, scale: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient with respect to x, and with respect to the scale (one for each coordinate)."""
        z = (np.array(self.places) - x[:, None]) / scale[:, None]
        jumps, density = np.array(self.jumps), SCIPY[name].pdf(z)
        values = (jumps * SCIPY[name].sf(z)).sum(1)
        others = np.array([np.delete(values, i).prod() for i in range(len(x))])
        by_x = others * (jumps * density).sum(1) / scale
        return float(values.prod()), by_x, others * (jumps * density * z).sum(1) / scale


@dataclass(frozen=True)
class Setting:
    """An objective with a point and a scale."""

    objective: WavesAndSteps | Windows
    theta: torch.Tensor
    scale: np.ndarray

    @property
    def name(self) -> str:
        kind = ("number", "diagonal", "matrix")[self.scale.ndim]
        return f"d{len(self.theta)}-{kind}"


def settings() -> list[Setting]:
    """d = 1, 2, 10 with one number, one per coordinate, and full matrices."""
    made = []
    for d, kind in ((1, "number"), (2, "number"), (2, "diagonal"), (2, "matrix"), (10, "diagonal"), (10, "matrix")):
        generator = np.random.default_rng(d)
        x = generator.uniform(-0.4, 0.4, d)
        a = generator.uniform(0.5, 1.5, d) / d**0.5
        b = np.zeros(d) if kind == "matrix" else generator.uniform(0.5, 1.0, d) / d**0.5
        scale = {
            "number": np.array(0.6),
            "diagonal": generator.uniform(0.4, 0.8, d),
            "matrix": 0.5 * np.eye(d) + generator.uniform(-0.1, 0.25, (d, d)),
        }[kind]
        assert kind != "matrix" or (scale.T @ a > 0).all()
        made.append(Setting(WavesAndSteps(tuple(a), tuple(b)), torch.from_numpy(x), scale))
    return made


def bounded_settings(*, odd: bool) -> list[Setting]:
    """Objectives that are zero within 0.2 scales of the ends of bounded noise; ``odd``: with mean and centre zero too.

    There f - b vanishes at the ends, b = 0, f(x) or (nearly) the mean, and the zeroth order has a finite variance under
    triangular noise.
    """
    made = []
    for d in (1, 2, 10):
        generator = np.random.default_rng(100 + d)
        scale, x = generator.uniform(0.4, 0.8, d), generator.uniform(-0.4, 0.4, d)
        places, jumps = [(-0.8, 0.1, 0.5, 0.7)] * d, [(1.0, -0.5, 1.0, -1.5)] * d
        if odd:
            places[0], jumps[0] = (-0.8, -0.1, 0.1, 0.8), (-1.0, 1.0, 1.0, -1.0)
        where = tuple(tuple(x[i] + scale[i] * np.array(places[i])) for i in range(d))
        made.append(Setting(Windows(where, tuple(jumps)), torch.from_numpy(x), scale))
    return made

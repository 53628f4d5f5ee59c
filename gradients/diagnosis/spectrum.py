"""Growth of a disturbance of the state: singular values of the product of Jacobians, and Lyapunov exponents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import check_count
from ..core.errors import GradientError
from ..noise.counter_random import draw_uniforms
from .linearized_rollout import Steps

__all__ = ["Spectrum", "spectrum"]


@dataclass(frozen=True)
class Spectrum:
    """Growth over the last h steps of an evaluation, for h = 1 to T."""

    horizons: torch.Tensor
    """h in units of time, [T]."""
    log_singular_values: torch.Tensor
    """Natural logarithms of the leading singular values of the product of the last h Jacobians, descending, [T, k];
    minus infinity for what is lost altogether."""
    exponents: torch.Tensor
    """Lyapunov exponents over the whole evaluation, descending, per unit of time, [k]."""

    @property
    def largest(self) -> float:
        """The largest exponent, per unit of time: above 0, nearby states part exponentially."""
        return float(self.exponents[0])


@plain_numbers
def spectrum(steps: Steps, *, leading: int = 8, seed: int = 0) -> Spectrum:
    """Singular values and exponents, by orthonormal rows pulled back through the steps and made orthonormal again.

    The method is that of Benettin et al. 1980 ("Lyapunov characteristic exponents for smooth dynamical systems",
    part 2), on transposed Jacobians: it needs only products with them, so a pile costs ``leading`` adjoints a step.
    With fewer rows than the state has numbers, the rows start in random directions, and the singular values are those
    of the product restricted to the span of these rows: for growing disturbances they tend to the leading ones.

    The coordinates have units (m, rad, m/s, rad/s), and so have the singular values of a short product; the exponents
    of a long one do not depend on them.

    Args:
        steps: Evaluation of the objective, step by step.
        leading: Number of singular values and exponents; all where the state has no more numbers than that.
        seed: Seed of the random rows.
    """
    check_count("leading", leading, 1)
    n, total = steps.state_size, steps.steps
    if total < 1:
        raise GradientError("the evaluation has no steps: there is no product of Jacobians")
    k = min(leading, n)
    if k == n:
        rows = torch.eye(n, dtype=torch.float64, device="cpu")
    else:
        normal = torch.special.ndtri(draw_uniforms(seed, "spectrum", first=0, rows=n, columns=k))
        rows = torch.linalg.qr(normal)[0].T
    product, shift = torch.eye(k, dtype=torch.float64, device="cpu"), 0.0
    sums = torch.zeros(k, dtype=torch.float64, device="cpu")
    table = torch.empty(total, k, dtype=torch.float64, device="cpu")
    for done, step in enumerate(reversed(range(total))):
        pulled = steps.pull(step, rows).double().cpu()
        if not bool(torch.isfinite(pulled).all()):
            raise GradientError(f"the Jacobian of step {step} is not finite: no singular values beyond it")
        q, r = torch.linalg.qr(pulled.T)
        rows = q.T
        sums = sums + r.diagonal().abs().log()
        # pulled = r^T q^T: the product so far, in the coordinates of the rows, gets r^T from the right.
        product = product @ r.T
        size = float(product.abs().max())
        if size > 0.0:
            product, shift = product / size, shift + math.log(size)
        table[done] = torch.linalg.svdvals(product).log() + shift
    time = steps.step_size * torch.arange(1, total + 1, dtype=torch.float64, device="cpu")
    return Spectrum(time, table, (sums / float(time[-1])).sort(descending=True).values)

"""The contact laws for tests: random contacts, evaluated by Warp, and what a unit of rounding makes of the results."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from carom.kernels.contact import law
from carom.kernels.contact.softened import MODES, REACH, SLOPES
from carom.kernels.core.precision import precision

__all__ = [
    "LAWS", "TINY", "Contacts", "Law", "Units", "Values", "evaluate", "random_contacts", "random_motions", "sizes",
    "units",
]  # fmt: skip


TINY = 1e-30
"""Impulses [N s] that count as none."""


@dataclass(frozen=True)
class Law:
    """A contact law; ``mode`` is the last coefficient of softened contact."""

    name: str
    resists: bool = False
    mode: float | None = None

    @property
    def softens(self) -> bool:
        return self.mode is not None

    @property
    def of_slopes(self) -> bool:
        """Whether the impulse is that of hard contact and only its derivative softened."""
        return self.mode is not None and self.mode >= SLOPES

    @property
    def reach(self) -> float:
        """Gap in widths at which the impulse is zero."""
        if self.mode is None:
            return 0.0
        return REACH["log_barrier" if self.mode in (1.0, 3.0) else "softplus"]

    def __str__(self) -> str:
        return self.name


LAWS = [
    Law(("resisting " if resists else "") + name, resists, mode)
    for resists in (False, True)
    for name, mode in (
        ("hard", None), ("softplus", MODES["softplus"]), ("log barrier", MODES["log_barrier"]),
        ("slopes of softplus", MODES["softplus"] + SLOPES), ("slopes of log barrier", MODES["log_barrier"] + SLOPES),
    )
]  # fmt: skip


@dataclass
class Contacts:
    """N contacts: normals [N, 3], motions [N, 3 or 6], coefficients [N, 4, 6, 7 or 9]; stiction speed [m/s]."""

    law: Law
    normal: np.ndarray
    motion: np.ndarray
    coefficients: np.ndarray
    eps: float

    def rounded(self, dtype: Any) -> "Contacts":
        """The same with numbers that ``dtype`` has, and normals of unit length to its rounding."""
        real = np.float32 if dtype is wp.float32 else np.float64
        return Contacts(
            self.law, *(x.astype(real).astype(float) for x in (self.normal, self.motion, self.coefficients)),
            float(real(self.eps)),
        )  # fmt: skip

    def moved(self, motion: np.ndarray) -> "Contacts":
        """The same contacts at another motion."""
        return Contacts(self.law, self.normal, motion, self.coefficients, self.eps)

    def __getitem__(self, chosen: Any) -> "Contacts":
        return Contacts(
            self.law, self.normal[chosen], self.motion[chosen], self.coefficients[chosen], self.eps
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.normal)


@dataclass
class Values:
    """Results of a law for N contacts, float64."""

    excess: np.ndarray  # [N]
    impulse: np.ndarray  # [N, k]
    direction: np.ndarray  # [N, k]
    curvature: np.ndarray  # [N, k, k]
    slip_speed: np.ndarray  # [N]
    drag: np.ndarray  # [N]


@functools.cache
def _kernel(dtype: Any, resists: bool, softens: bool) -> Any:
    p = precision(dtype)
    contact_law = law.make(dtype, resists, softens)
    vec3, Motion, Coefficients = p.vec3, contact_law.Motion, contact_law.Coefficients
    Curvature = wp.types.matrix((6, 6), dtype) if resists else p.mat33

    @wp.kernel(enable_backward=False, module="unique")
    def evaluate_kernel(
        normal: wp.array(dtype=vec3), motion: wp.array(dtype=Motion), coefficients: wp.array(dtype=Coefficients),
        eps: dtype,
        excess: wp.array(dtype=dtype), impulse: wp.array(dtype=Motion), direction: wp.array(dtype=Motion),
        curvature: wp.array(dtype=Curvature), slip_speed: wp.array(dtype=dtype), drag: wp.array(dtype=dtype),
    ):  # fmt: skip
        c = wp.tid()
        u = motion[c]
        n = normal[c]
        q = coefficients[c]
        excess[c] = contact_law.excess(u, n, q, eps)
        impulse[c] = contact_law.impulse(u, n, q, eps)
        if wp.static(not softens):
            direction[c] = contact_law.direction(u, n, q, eps)
        curvature[c] = contact_law.curvature(u, n, q, eps)
        slip_speed[c] = contact_law.slip_speed(u, n, eps)
        drag[c] = contact_law.drag(u, n, q, eps)

    return evaluate_kernel


def evaluate(contacts: Contacts, dtype: Any = wp.float64) -> Values:
    """Evaluate a law in Warp, in one precision."""
    kind, n = contacts.law, len(contacts)
    p, contact_law = precision(dtype), law.make(dtype, kind.resists, kind.softens)
    motion, matrix = contact_law.Motion, wp.types.matrix((6, 6), dtype) if kind.resists else p.mat33
    out = [wp.zeros(n, dtype=t, device="cpu") for t in (dtype, motion, motion, matrix, dtype, dtype)]
    wp.launch(
        _kernel(dtype, kind.resists, kind.softens), dim=n,
        inputs=[
            *(
                wp.array(x, dtype=t, device="cpu")
                for x, t in (
                    (contacts.normal, p.vec3), (contacts.motion, motion),
                    (contacts.coefficients, contact_law.Coefficients),
                )
            ),
            dtype(contacts.eps),
        ],
        outputs=out, device="cpu",
    )  # fmt: skip
    return Values(*(x.numpy().astype(float) for x in out))


def parts(contacts: Contacts) -> tuple[np.ndarray, ...]:
    """un, s(ut), |w| about the tangent and about the normal, both regularized; [N] each, zero without resistance."""
    n, u, q = contacts.normal, contacts.motion[:, :3], contacts.coefficients
    along = (n * u).sum(1)
    slip = np.sqrt(((u - n * along[:, None]) ** 2).sum(1) + contacts.eps**2)
    if not contacts.law.resists:
        return along, slip, np.zeros_like(slip), np.zeros_like(slip)
    w = contacts.motion[:, 3:]
    spin = (n * w).sum(1)
    return along, slip, np.sqrt(((w - n * spin[:, None]) ** 2).sum(1) + q[:, 6] ** 2), np.hypot(spin, q[:, 6])


def separation(contacts: Contacts) -> np.ndarray:
    """The part of y that is not in the coefficient a, [N]."""
    q = contacts.coefficients
    along, slip, roll, spin = parts(contacts)
    y = along - q[:, 2] * (slip - q[:, 3])
    return y - q[:, 4] * roll - q[:, 5] * spin if contacts.law.resists else y


@dataclass
class Units:
    """Change of the results of a law by one unit of rounding of its terms, all [N].

    A tangential velocity is a difference of two of the size of the motion, so its rounding is that of the motion.
    """

    z: np.ndarray  # of a - b y
    slope: np.ndarray  # of the impulse's derivative by z
    direction: np.ndarray  # of ut/s and of its like for turning
    lever: np.ndarray  # greatest size of the impulse for a unit of normal impulse
    impulse: np.ndarray
    curvature: np.ndarray


def sizes(motion: np.ndarray) -> np.ndarray:
    """Lengths of the relative and of the angular velocity, [N, 1 or 2]."""
    return np.linalg.norm(motion.reshape(len(motion), -1, 3), axis=2)


def units(contacts: Contacts, dtype: Any, found_from: np.ndarray | None = None) -> Units:
    """Units of rounding of contacts in one precision.

    ``found_from`` [N, 1 or 2] are sizes of the velocities that the motion has been found from, where they are greater.
    """
    q, epsilon = contacts.coefficients, precision(dtype).epsilon
    _, slip, roll, spin = parts(contacts)
    size = sizes(contacts.motion) if found_from is None else np.maximum(sizes(contacts.motion), found_from)
    load = (evaluate(contacts).impulse[:, :3] * contacts.normal).sum(1)
    lever, bend = 1.0 + q[:, 2], q[:, 2] / slip
    direction = epsilon * (1.0 + size[:, 0] / slip)
    fast = size[:, 0] + q[:, 2] * (size[:, 0] + slip + q[:, 3])
    if contacts.law.resists:
        lever = lever + q[:, 4] + q[:, 5]
        bend = bend + q[:, 4] / roll + q[:, 5] / spin
        direction = direction + epsilon * size[:, 1] * (1.0 / roll + 1.0 / spin)
        fast = fast + q[:, 4] * (size[:, 1] + roll) + q[:, 5] * (size[:, 1] + spin)
    z = epsilon * (np.abs(q[:, 0]) + q[:, 1] * fast)
    slope = np.full_like(z, epsilon)
    if contacts.law.softens:
        beta = np.where(q[:, -2] > 0.0, q[:, -2], np.inf)
        slope = slope + z / beta
    impulse = (z + load * direction) * lever
    curvature = q[:, 1] * (slope + direction) * lever**2 + 2.0 * (z + load * direction) * bend
    return Units(z, slope, direction, lever, impulse + TINY, curvature + TINY)


def towards(contacts: Contacts, z: np.ndarray) -> Contacts:
    """The same contacts with coefficients a for which a - b y is ``z``."""
    q = contacts.coefficients.copy()
    q[:, 0] = z + q[:, 1] * separation(contacts)
    return Contacts(contacts.law, contacts.normal, contacts.motion, q, contacts.eps)


def random_motions(kind: Law, normal: np.ndarray, eps: float, slow: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Motions [N, 3 or 6] whose slip and turning are zero, far below, about, and far above the speeds of stiction."""
    count = len(normal)

    def about_scale(scale: Any) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, 3))
        x -= normal * (x * normal).sum(1, keepdims=True)
        sizes = rng.choice([0.0, 1e-3, 1.0, 1.0, 30.0, 1000.0], size=(2, count)) * scale
        along = rng.normal(size=count) * rng.choice([0.0, 1e-3, 1.0, 1.0], size=count)
        return x * sizes[0][:, None], along * np.maximum(sizes[1], 0.3 * (rng.random(count) < 0.5))

    x, along = about_scale(eps)
    u = x + normal * along[:, None]
    if not kind.resists:
        return u
    x, along = about_scale(slow)
    return np.concatenate([u, x + normal * along[:, None]], axis=1)


def random_contacts(kind: Law, count: int, seed: int, eps: float = 1e-3) -> Contacts:
    """Random contacts of one law: sticking and sliding, apart, about to touch and loaded, with and without friction.

    Some have a constant normal impulse (b = 0), as those of an impact's friction; some of softened ones are hard.
    """
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(count, 3))
    normal[rng.random(count) < 0.3] = [0.0, 0.0, 1.0]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    slow = rng.choice([0.02, 1e-3, 1.0], size=count)
    motion = random_motions(kind, normal, eps, slow, rng)
    b = 10.0 ** rng.uniform(-2.0, 3.0, count)
    mu = rng.choice([0.0, 0.3, 1.0, 5.0, 100.0], size=count, p=[0.2, 0.3, 0.3, 0.1, 0.1])
    s0 = np.where(rng.random(count) < 0.5, eps, np.hypot(eps, rng.normal(size=count)))
    columns = [np.zeros(count), b, mu, s0]
    if kind.resists:
        columns += [rng.choice([0.0, 1e-4, 0.01, 0.3], size=count) for _ in range(2)] + [slow]
    z = b * rng.normal(size=count) * rng.choice([1e-9, 1e-5, 1e-2, 1.0], size=count)
    if kind.softens:
        beta = 10.0 ** rng.uniform(-4.0, 0.0, count) * (rng.random(count) < 0.9)
        ends = kind.reach
        steps = [-1.2, -1.0, -0.999, -0.9, -0.6, -0.501, -0.5, -0.3, -0.1]
        t = np.concatenate([np.array(steps) * ends, [-2.0, -0.5, 0.0, 1e-8, 0.05, 1.0, 3.0, 50.0]])
        z = np.where(beta > 0.0, rng.choice(t, size=count) * beta, z)
        columns += [beta, np.full(count, kind.mode)]
    constant = rng.random(count) < 0.1
    columns[1] = np.where(constant, 0.0, b)
    contacts = Contacts(kind, normal, motion, np.stack(columns, axis=1), eps)
    return towards(contacts, z)

"""Random collisions of two moving bodies, and the derivatives of one step of them, exact and by differences.

A batch holds one pair of shapes; its worlds differ in pose, velocity, restitution and friction. Inputs are velocities
and poses of both bodies, and friction and restitution of both shapes; outputs are velocities and poses after the step.
"""

import itertools
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from carom.sim import ModelBuilder, SimulationWarning, Simulator, State

SHAPES = ("sphere", "capsule", "box", "cylinder", "hull")
PAIRS = tuple(itertools.combinations_with_replacement(SHAPES, 2))
STEP = 0.004
RESTITUTION = (0.0, 1e-6, 0.3, 0.6, 1.0)
FRICTION = (0.0, 0.5)

EPS = tuple(4e-4 / 4**k for k in range(6))
"""Steps of the differences, in parts of the scale of each input: 4e-4 ... 4e-7."""

SETTLED = 5e-7
"""Differences settle where two extrapolations of theirs agree to this part of the largest entry."""

PLANAR = ("y", "rx", "rz")


def add_shape(builder, body, kind, size, seed, **options):
    """A shape about ``size`` [m] large; a frustum of a random polygon is the hull."""
    if kind == "sphere":
        builder.add_sphere(body, size, **options)
    elif kind == "capsule":
        builder.add_capsule(body, 0.6 * size, 0.8 * size, **options)
    elif kind == "box":
        builder.add_box(body, (1.1 * size, 0.8 * size, 0.7 * size), **options)
    elif kind == "cylinder":
        builder.add_cylinder(body, 0.9 * size, 0.7 * size, **options)
    else:
        rng = np.random.default_rng(seed)
        angles = (np.arange(6) + rng.uniform(-0.3, 0.3, 6)) * np.pi / 3
        ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], 1) * size
        up = np.array([0.0, 0.0, 0.7 * size])
        builder.add_convex(body, np.concatenate([ring - up, 0.8 * ring + up]), **options)


def turned(axis, angle):
    """Quaternions [W, 4] of turns about ``axis`` [W, 3] by ``angle`` [W]."""
    axis = axis / axis.norm(dim=1, keepdim=True)
    return torch.cat([axis * torch.sin(angle / 2)[:, None], torch.cos(angle / 2)[:, None]], 1)


def product(p, q):
    """Quaternion products [..., 4]."""
    a, b = p[..., :3], q[..., :3]
    xyz = p[..., 3:] * b + q[..., 3:] * a + torch.cross(a, b, dim=-1)
    return torch.cat([xyz, p[..., 3:] * q[..., 3:] - (a * b).sum(-1, keepdim=True)], -1)


@dataclass
class Batch:
    """Collisions of one pair of shapes: W worlds."""

    simulator: object
    q: torch.Tensor  # [W, 2, 7]
    v: torch.Tensor  # [W, 2, 6]
    friction: torch.Tensor  # [W, 2]
    restitution: torch.Tensor  # [W, 2]
    free: torch.Tensor  # [2, 6], 1 on free axes

    @property
    def worlds(self):
        return self.q.shape[0]

    def after(self, z, which=None):
        """Outputs [N, 26] of the worlds ``which`` [N] with their inputs moved by z [N, 28], in parts of their scales.

        Scales are 1 m/s and 1 rad/s, their product with the step, and the coefficients themselves.
        """
        take = slice(None) if which is None else which
        v = self.v[take] + z[:, :12].view(-1, 2, 6) * self.free
        move = z[:, 12:18].view(-1, 2, 3) * self.free[:, :3] * STEP
        spin = z[:, 18:24].view(-1, 2, 3) * self.free[:, 3:] * STEP
        unit = torch.cat([0.5 * spin, torch.ones_like(spin[..., :1])], -1)
        turn = product(unit / unit.norm(dim=-1, keepdim=True), self.q[take][..., 3:])
        q = torch.cat([self.q[take][..., :3] + move, turn], -1)
        e = self.restitution[take]
        parameters = {
            "shape_friction": self.friction[take] * (1 + z[:, 24:26]),
            "shape_restitution": e * (1 + z[:, 26:28] * (e < 1)),  # 1 is the greatest there is
        }
        final = self.simulator.rollout(State(q, v), None, parameters, steps=1, record=False).final
        return torch.cat([final.body_v.flatten(1), (final.body_q - self.q[take]).flatten(1) / STEP], 1)

    def exact(self):
        """Jacobians by the implicit adjoint, [W, 26, 28]."""
        which = torch.arange(self.worlds).repeat_interleave(26)
        z = torch.zeros((len(which), 28), dtype=torch.float64, requires_grad=True)
        seeds = torch.eye(26, dtype=torch.float64).repeat(self.worlds, 1)
        with warnings.catch_warnings():  # of coefficients of zero, which stay zero here
            warnings.simplefilter("ignore", SimulationWarning)
            out = self.after(z, which)
        (grad,) = torch.autograd.grad(out, z, seeds)
        return grad.view(self.worlds, 26, 28)

    def shifted(self, eps):
        """Outputs with each input moved by ``eps`` alone, [W, 26, 28]."""
        which = torch.arange(self.worlds).repeat_interleave(28)
        z = torch.eye(28, dtype=torch.float64).repeat(self.worlds, 1) * eps
        with torch.no_grad():
            return self.after(z, which).view(self.worlds, 28, 26).transpose(1, 2)

    def differences(self):
        """Jacobians by extrapolated central differences, [W, 26, 28], and the part [W] by which they do not settle.

        Of all steps, each world has those whose results agree best with each other: kinks want small ones, rounding
        large ones. The exact gradient has no say in it.
        """
        central = [(self.shifted(eps) - self.shifted(-eps)) / (2 * eps) for eps in EPS]
        better = torch.stack([(16 * fine - coarse) / 15 for coarse, fine in itertools.pairwise(central)])
        error = (better[1:] - better[:-1]).abs().amax((2, 3))
        best = error.argmin(0)
        jacobian = better[best + 1, torch.arange(self.worlds)]
        return jacobian, error.amin(0) / jacobian.abs().amax((1, 2))

    def one_sided(self, exact, eps=1e-7):
        """Part [W] by which ``exact`` differs from the nearer of the two one-sided differences, the worst entry."""
        with torch.no_grad():
            here = self.after(torch.zeros((self.worlds, 28), dtype=torch.float64))[:, :, None]
        right, left = (self.shifted(eps) - here) / eps, (here - self.shifted(-eps)) / eps
        wrong = torch.minimum((exact - right).abs(), (exact - left).abs()).amax((1, 2))
        return wrong / torch.maximum(right.abs(), left.abs()).amax((1, 2))


def collisions(pair, *, worlds, seed, bounces=True, locked=((), ()), resistance=0.0):
    """A batch of two bodies that meet within one step.

    Two worlds of three have faces (sides, axes) that lie on each other but for a tilt of up to 0.03 rad, and so several
    contacts. Restitution and friction take all their values in turn; ``bounces`` False leaves restitution zero.
    """
    gen = torch.Generator().manual_seed(seed)

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand((worlds, *shape), generator=gen, dtype=torch.float64)

    def normal(*shape):
        return torch.randn((worlds, *shape), generator=gen, dtype=torch.float64)

    builder = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    sizes = (0.04 + 0.03 * torch.rand(2, generator=gen, dtype=torch.float64)).tolist()
    free = torch.ones((2, 6), dtype=torch.float64)
    for i, kind in enumerate(pair):
        body = builder.add_body(position=(0, 0, i), locked=locked[i], name=f"{kind} {i}")
        add_shape(
            builder, body, kind, sizes[i], seed + i, restitution=0.5,
            rolling_resistance=resistance, torsional_resistance=resistance,
        )  # fmt: skip
        names = ("x", "y", "z", "rx", "ry", "rz")
        free[i] = torch.tensor([float(name not in locked[i]) for name in names])
    model = builder.finalize(dtype="float64")
    simulator = Simulator(model, step=STEP, tolerance=1e-13, threads=1, contact_capacity=32)

    numbers = torch.arange(worlds)
    aligned = (numbers % 3 < 2)[:, None]
    q = model.state(worlds).body_q.clone()
    for i, kind in enumerate(pair):
        # lying: capsules and, in every second world, cylinders on their sides
        lies = (numbers % 2 == 1) * (kind == "cylinder") + torch.full((worlds,), kind == "capsule")
        y, z = (torch.eye(3, dtype=torch.float64)[k].repeat(worlds, 1) for k in (1, 2))
        lay = turned(y, lies * torch.pi / 2)
        about_z = turned(z, uniform(-0.4, 0.4))
        tilt = turned(normal(3) * torch.tensor([1.0, 1.0, 0.0]), uniform(0.0, 0.03) * i)
        flat = product(tilt, product(about_z, lay))
        any_way = turned(normal(3), uniform(0.0, 6.0))
        turn = torch.where(aligned, flat, any_way)
        if locked[i]:  # of a plane: about y, but not exactly, as nothing is exactly aligned but by chance
            turn = product(
                turned(normal(3), uniform(1e-3, 1e-2)), turned(y, uniform(-0.03, 0.03) + lies * torch.pi / 2)
            )
        q[:, i, 3:] = turn / turn.norm(dim=1, keepdim=True)
    q[:, 0, :3] = 0.0
    q[:, 1, :2] = uniform(-0.02, 0.02, 2)
    v = 0.3 * normal(2, 6)
    v[:, :, 3:] *= 5.0
    v[:, 1, 2] -= uniform(1.0, 3.0)
    v, along = v * free, free[:, :3] > 0
    q[:, 1, :2] *= along[1, :2]
    e = torch.tensor(RESTITUTION[1:] if bounces else RESTITUTION[:1], dtype=torch.float64)
    mu = torch.tensor(FRICTION, dtype=torch.float64)
    restitution = e[numbers % len(e)][:, None].repeat(1, 2)
    friction = mu[numbers // len(e) % 2][:, None].repeat(1, 2)
    batch = Batch(simulator, q, v, friction, restitution, free)

    # the greatest distance along z at which they meet within the step, and then some part of the way nearer
    low, high = torch.full((worlds,), 0.03).double(), torch.full((worlds,), 0.4).double()
    for _ in range(40):
        middle = 0.5 * (low + high)
        met = _meets(batch, middle)
        low, high = torch.where(met, middle, low), torch.where(met, high, middle)
    closing = (v[:, 0, 2] - v[:, 1, 2]) * STEP
    q[:, 1, 2] = low - uniform(0.1, 0.9) * closing
    return batch


def _meets(batch, distance):
    q = batch.q.clone()
    q[:, 1, 2] = distance
    met = torch.ones(batch.worlds, dtype=torch.bool)
    parameters = {"shape_restitution": torch.full_like(batch.restitution, 0.5)}
    final = batch.simulator.rollout(State(q, batch.v), None, parameters, steps=1, record=False).final
    met = (final.body_v - batch.v)[..., :3].abs().amax((1, 2)) > 0.05
    return met

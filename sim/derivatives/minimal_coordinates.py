"""States as plain vectors: positions, rotation vectors and velocities along the axes that are free to move."""

from __future__ import annotations

import math

import torch

from ..errors import StateError
from ..scene.descriptions import AXES
from ..scene.model import Model
from ..state import State

__all__ = ["StateCoordinates", "left_jacobian"]

_SMALL = 1e-5
"""Squared angle [rad^2] below which series are used; their truncation error is below 1e-16 there."""


class StateCoordinates:
    """A chart of a model's states: vectors [worlds, n] for optimal control, one state a row.

    The coordinates are position [m] and rotation vector [rad] of each body, then linear [m/s] and angular [rad/s]
    velocity of each body. Rotation vectors are in world axes, relative to the orientation in ``reference``. The order
    is that of :func:`step_jacobian`, without locked axes. A planar body has x, y and one angle. A body with two free
    axes of rotation has all three components of the rotation vector, since rotations about two axes compose to one
    about a third.

    An angle may grow past pi: of the equivalent rotation vectors the one nearest to the former one is taken. A rotation
    vector of three components is singular at a whole turn from the reference; take a nearer reference there.

    Args:
        model: The model, of one world.
        reference: State of one world with the orientations at which rotation vectors are zero, and the poses of locked
            axes; by default the model's initial state.
        velocities: Whether velocities belong to the state. Without them bodies are taken to be at rest, as in
            quasi-dynamic stepping.

    Raises:
        StateError: The reference is not one world of this model.
    """

    def __init__(self, model: Model, reference: State | None = None, *, velocities: bool = True):
        reference = model.initial_state if reference is None else reference
        if reference.body_q.shape != (1, model.bodies, 7):
            raise StateError(
                f"the reference of coordinates must be one world, body_q [1, {model.bodies}, 7], got "
                f"{tuple(reference.body_q.shape)}; give one row, e.g. State(s.body_q[:1], s.body_v[:1])"
            )
        self.model = model
        self.reference = reference.body_q[0].detach().to(device=model.device, dtype=model.dtype)
        self.velocities = velocities
        free = torch.as_tensor(model.body_free, device="cpu").clone()
        moves = free.clone()
        moves[free[:, 3:].sum(1) >= 2, 3:] = True
        kept = torch.cat([moves.reshape(-1), free.reshape(-1) if velocities else torch.zeros_like(free).reshape(-1)])
        self.index = kept.nonzero().reshape(-1).to(model.device)
        """Indices of these coordinates among the 12 a body of :func:`step_jacobian`, int [n]."""
        labels = [f"{name}.{axis}" for name in model.body_names for axis in AXES]
        rates = [f"{name}.{rate}" for name in model.body_names for rate in ("vx", "vy", "vz", "wx", "wy", "wz")]
        self.names = tuple(name for name, keep in zip(labels + rates, kept.tolist(), strict=True) if keep)
        """Name of each coordinate, e.g. ``box.x``, ``box.rz``, ``box.vx``, ``box.wz``."""

    def __len__(self) -> int:
        return len(self.names)

    def vector(self, state: State, near: torch.Tensor | None = None) -> torch.Tensor:
        """Coordinates [worlds, n] of a state; of the equivalent rotation vectors those nearest to ``near`` [worlds, n].

        Locked axes that are off the reference, and velocities where the coordinates have none, are lost.
        """
        q = state.body_q.to(self.reference)
        turn = _rotation_vector(_multiply(q[..., 3:], _conjugate(self.reference[:, 3:])))
        if near is not None:
            turn = _nearest(turn, self._turns(near))
        pose = torch.cat([q[..., :3], turn], dim=-1)
        return torch.cat([pose.flatten(1), state.body_v.to(q).flatten(1)], dim=1)[:, self.index]

    def state(self, vector: torch.Tensor) -> State:
        """The state with these coordinates [worlds, n]; locked axes as in the reference."""
        worlds, bodies = len(vector), self.model.bodies
        full = self._full(vector)
        pose, speed = full[:, : 6 * bodies].reshape(worlds, bodies, 6), full[:, 6 * bodies :]
        moved = torch.zeros(12 * bodies, dtype=torch.bool, device=full.device)
        moved[self.index] = True
        moved = moved[: 6 * bodies].reshape(bodies, 6)[:, :3]
        position = torch.where(moved, pose[..., :3], self.reference[:, :3])
        rotation = _multiply(_quaternion(pose[..., 3:]), self.reference[:, 3:].expand(worlds, bodies, 4))
        return State(torch.cat([position, rotation], dim=-1), speed.reshape(worlds, bodies, 6))

    def turn_matrix(self, vector: torch.Tensor) -> torch.Tensor:
        """J [worlds, bodies, 3, 3]: a small change dr of the rotation vectors turns the bodies by J dr (world axes)."""
        return left_jacobian(self._turns(vector))

    def _full(self, vector: torch.Tensor) -> torch.Tensor:
        if vector.ndim != 2 or vector.shape[1] != len(self):
            raise StateError(
                f"a state of coordinates must have shape [worlds, {len(self)}] ({', '.join(self.names)}), got "
                f"{tuple(vector.shape)}"
            )
        full = torch.zeros(len(vector), 12 * self.model.bodies, dtype=self.model.dtype, device=self.reference.device)
        return full.index_copy(1, self.index, vector.to(full))

    def _turns(self, vector: torch.Tensor) -> torch.Tensor:
        half = 6 * self.model.bodies
        return self._full(vector)[:, :half].reshape(len(vector), self.model.bodies, 6)[..., 3:]


def left_jacobian(r: torch.Tensor) -> torch.Tensor:
    """J with exp(r + dr) = exp(J dr) exp(r) to first order in dr; rotation vectors [..., 3] to [..., 3, 3].

    J = I + (1 - cos t)/t^2 [r] + (t - sin t)/t^3 [r]^2, t = |r| (Chirikjian, Stochastic Models, Information Theory,
    and Lie Groups, vol. 2, eq. 10.86).
    """
    x, y, z = r.unbind(-1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).reshape(*r.shape, 3)
    square = r.square().sum(-1)[..., None, None]
    small = square < _SMALL
    t2 = torch.where(small, 1.0, square)
    t = t2.sqrt()
    first = torch.where(small, 0.5 - square / 24 + square.square() / 720, 2 * (t / 2).sin().square() / t2)
    second = torch.where(small, 1 / 6 - square / 120 + square.square() / 5040, (t - t.sin()) / (t2 * t))
    return torch.eye(3, dtype=r.dtype, device=r.device) + first * cross + second * (cross @ cross)


def _quaternion(r: torch.Tensor) -> torch.Tensor:
    """Exponential of rotation vectors [..., 3]: quaternions (x, y, z, w), smooth at zero."""
    square = r.square().sum(-1, keepdim=True)
    small = square < _SMALL
    t = torch.where(small, 1.0, square).sqrt()
    sine = torch.where(small, 0.5 - square / 48 + square.square() / 3840, (t / 2).sin() / t)
    cosine = torch.where(small, 1 - square / 8 + square.square() / 384, (t / 2).cos())
    return torch.cat([sine * r, cosine], dim=-1)


def _rotation_vector(q: torch.Tensor) -> torch.Tensor:
    """Logarithm of unit quaternions [..., 4], of length up to pi, smooth at zero."""
    q = torch.where(q[..., 3:] < 0, -q, q)
    square = q[..., :3].square().sum(-1, keepdim=True)
    small = square < _SMALL
    sine = torch.where(small, 1.0, square).sqrt()
    series = 2 + square / 3 + 3 * square.square() / 20  # 2 asin(s) / s, s^2 = square
    return q[..., :3] * torch.where(small, series, 2 * torch.atan2(sine, q[..., 3:]) / sine)


def _nearest(r: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """Of the rotation vectors r + 2 pi k r/|r|, which all turn alike, the one nearest to ``near``."""
    length = r.norm(dim=-1, keepdim=True)
    axis = torch.where(length > 0, r / torch.where(length > 0, length, 1.0), 0.0)
    # A whole turn has no axis of its own: take the axis of the former rotation vector.
    former = near.norm(dim=-1, keepdim=True)
    axis = torch.where(length > 1e-7, axis, near / torch.where(former > 0, former, 1.0))
    turns = torch.round(((near * axis).sum(-1, keepdim=True) - (r * axis).sum(-1, keepdim=True)) / (2 * math.pi))
    return r + (2 * math.pi * turns * axis).detach()


def _conjugate(q: torch.Tensor) -> torch.Tensor:
    return torch.cat([-q[..., :3], q[..., 3:]], dim=-1)


def _multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Product of quaternions (x, y, z, w)."""
    u, s = a[..., :3], a[..., 3:]
    v, t = b[..., :3], b[..., 3:]
    u, v = torch.broadcast_tensors(u, v)
    vector = s * v + t * u + torch.linalg.cross(u, v)
    return torch.cat([vector, s * t - (u * v).sum(-1, keepdim=True)], dim=-1)

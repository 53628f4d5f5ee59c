"""Random contacts of small worlds, for tests of kernels that take several side by side.

Everything is drawn: kinds, static and moving sides, given stiffness and damping on none, one or both sides, friction
that is zero on one side or both, and patches whose friction is drawn in.
"""

import dataclasses
from typing import Any

import numpy as np
import warp as wp

from carom.kernels.collision.features import FLAT, LINE, POINT, Features
from carom.kernels.contact import slip
from carom.kernels.contact.row_arrays import ContactRows
from carom.kernels.contact.slip_adjoint import SlipAdjoints
from carom.kernels.core.adjoint_arrays import Adjoints
from carom.kernels.core.precision import precision
from carom.sim import STATIC, ModelBuilder
from carom.sim.stepping.device_model import model_arrays

CONTACTS, H, EPS = 14, 0.005, 1e-3


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def model(worlds: int, dtype: Any) -> Any:
    """A free body, one with two free axes and one that stands, two shapes each, and two static shapes."""
    builder = ModelBuilder()
    bodies = [
        builder.add_body(position=(i, 0, 0), locked=locked)
        for i, locked in enumerate(((), ("z", "angular"), "all"))
    ]  # fmt: skip
    for body in (*bodies, STATIC):
        for _ in range(2):
            builder.add_sphere(body, 0.1)
    return model_arrays(builder.finalize(dtype="float64" if dtype is wp.float64 else "float32"), worlds)


def random_contacts(worlds: int, seed: int, dtype: Any) -> tuple[Any, ...]:
    """Arrays of a model, poses, v0 and v1 of its bodies, features, rows and adjoints with their z."""
    p, rng = precision(dtype), np.random.default_rng(seed)
    arrays = dataclasses.replace(model(worlds, dtype), plain_contacts=False)  # whatever spheres have
    bodies, shapes = arrays.body_mass.shape[1], arrays.shape_friction.shape[1]
    flat, given = (worlds, CONTACTS), (worlds, shapes)

    def normal(*shape: int, size: float = 1.0) -> np.ndarray:
        return size * rng.normal(size=(*flat, *shape))

    arrays.body_mass.assign(rng.uniform(0.2, 3.0, (worlds, bodies)))
    arrays.shape_friction.assign(rng.choice([0.0, 0.3, 0.9], given))
    arrays.shape_stiffness.assign(rng.choice([-1.0, 2e4, 7e4], given, p=[0.6, 0.2, 0.2]))
    arrays.shape_damping.assign(rng.choice([-1.0, 0.0, 30.0, 90.0], given, p=[0.5, 0.1, 0.2, 0.2]))
    q = np.concatenate(
        [0.1 * rng.normal(size=(worlds, bodies, 3)), unit(rng.normal(size=(worlds, bodies, 4)))], axis=-1
    )
    states = [wp.array(rng.normal(size=(worlds, bodies, 6)), dtype=p.spatial, device="cpu") for _ in range(3)]
    f = Features.allocate(worlds, CONTACTS, dtype, "cpu")
    count = rng.integers(0, CONTACTS + 1, worlds)
    count[0] = CONTACTS
    f.count.assign(count.astype(np.int32))
    # of a pair not both on one body, nor both static
    body_of = arrays.shape_body.numpy()
    pairs = [(a, b) for a in range(shapes) for b in range(shapes) if body_of[a] != body_of[b]]
    chosen = np.array(pairs)[rng.integers(0, len(pairs), flat)]
    f.shape_a.assign(chosen[..., 0].astype(np.int32))
    f.shape_b.assign(chosen[..., 1].astype(np.int32))
    kind = rng.choice([int(FLAT), int(POINT), int(LINE)], flat)
    f.kind.assign(kind.astype(np.int32))
    for array, values in (
        (f.a0, normal(3, size=0.1)), (f.a1, unit(normal(3))), (f.b0, normal(3, size=0.1)),
        (f.radius_a, rng.uniform(0.0, 0.3, flat)), (f.radius_b, rng.uniform(0.0, 0.3, flat)),
        (f.sign, rng.choice([-1.0, 1.0], flat)), (f.weight, rng.uniform(0.1, 1.0, flat)),
    ):  # fmt: skip
        array.assign(values)
    start = np.arange(CONTACTS) - rng.integers(0, 3, flat).clip(max=np.arange(CONTACTS))
    f.patch_start.assign(start.astype(np.int32))
    f.patch_count.assign(rng.choice([0, 4], flat).astype(np.int32))
    rows = ContactRows.allocate(worlds, CONTACTS, dtype, "cpu")
    rows.centre.assign(normal(3))
    rows.pull.assign(rng.choice([0.0, 0.2, 0.5], flat))
    g = Adjoints.allocate(arrays, CONTACTS, dtype)
    g = dataclasses.replace(g, z=states[2])
    g.active.assign((rng.random(flat) < 0.8).astype(np.int32))
    return arrays, wp.array(q, dtype=p.transform, device="cpu"), states[0], states[1], f, rows, g


def picked(data: Any, worlds: int, pick: slice) -> Any:
    """Arrays, or a dataclass of arrays, of some of the worlds."""
    if dataclasses.is_dataclass(data):
        own = {f.name: picked(getattr(data, f.name), worlds, pick) for f in dataclasses.fields(data)}
        return dataclasses.replace(data, **own)
    if not isinstance(data, wp.array) or data.shape[0] != worlds:
        return data
    return wp.array(data.numpy()[pick], dtype=data.dtype, device="cpu")


def turned(q: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Vectors turned by unit quaternions (x, y, z, w)."""
    axis, w = q[..., :3], q[..., 3:]
    return x + 2.0 * np.cross(axis, np.cross(axis, x) + w * x)


def brought_near(case: tuple[Any, ...], gaps: np.ndarray) -> None:
    """Change the radii of random contacts so that they have these gaps [m], [W, C]."""
    arrays, q, _, _, f, *_ = case
    worlds = np.arange(len(gaps))[:, None]
    ground = np.broadcast_to(np.array([0.0, 0, 0, 0, 0, 0, 1]), (len(gaps), 1, 7))
    poses, body_of = np.concatenate([q.numpy(), ground], axis=1), arrays.shape_body.numpy()
    xa, xb = (poses[worlds, body_of[shapes.numpy()]] for shapes in (f.shape_a, f.shape_b))
    kind, along = f.kind.numpy(), turned(xa[..., 3:], f.a1.numpy())
    r = xb[..., :3] + turned(xb[..., 3:], f.b0.numpy()) - xa[..., :3] - turned(xa[..., 3:], f.a0.numpy())
    height = (r * along).sum(-1)
    across = np.linalg.norm(r - height[..., None] * along, axis=-1)
    distance = np.where(kind == int(FLAT), height, np.where(kind == int(LINE), across, np.linalg.norm(r, axis=-1)))
    f.radius_a.assign(distance - f.radius_b.numpy() - gaps)


def random_slips(worlds: int, seed: int, dtype: Any) -> tuple[Any, ...]:
    """Random contacts, the solves of a step, and what its backward pass writes.

    Gaps and velocities are so small that many weights lie between 0 and 1.
    """
    case = random_contacts(worlds, seed, dtype)
    arrays, _q, v0, v1, *_ = case
    rng = np.random.default_rng(seed + 100)
    bodies = arrays.body_mass.shape[1]
    arrays.gravity.assign(unit(rng.normal(size=(worlds, 3))) * rng.uniform(5.0, 12.0, (worlds, 1)))
    brought_near(case, 2e-4 * rng.normal(size=(worlds, CONTACTS)))
    slips = slip.Slips.allocate(worlds, bodies, CONTACTS, dtype, "cpu", False, False)
    v0.assign(v0.numpy() * 10.0 ** rng.uniform(-3.5, -1.0, (worlds, bodies, 1)))
    for state in (slips.body_va, slips.body_vb, slips.body_vc, v1):
        size = 10.0 ** rng.uniform(-3.5, -1.0, (worlds, bodies, 1))
        state.assign(v0.numpy() + size * rng.normal(size=(worlds, bodies, 6)))
    own = SlipAdjoints.allocate(worlds, bodies, CONTACTS, dtype, "cpu")
    own.active.assign((rng.random((worlds, 2 * CONTACTS)) < 0.7).astype(np.int32))
    slips.weight.assign(rng.choice([0.0, 0.5], (worlds, CONTACTS)))
    staged = (rng.random(worlds) < 0.7).astype(np.int32)
    staged[[0, -1]] = 1
    slips.staged.assign(staged)
    return (*case, slips, own)

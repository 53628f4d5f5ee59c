"""Random worlds of at most eight free axes with contact rows.

One body and several, locked axes, actuators of all kinds, several islands, contacts between bodies and with what does
not move, listed in several groups a pair.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from contact_laws import Contacts, Law, random_contacts

from carom.kernels.contact.row_arrays import ContactRows
from carom.kernels.core.model_arrays import ModelArrays
from carom.kernels.core.precision import precision
from carom.kernels.solver.dense_algebra import SMALL
from carom.sim import ModelBuilder, SimulatorOptions
from carom.sim.stepping.contact_solver import Solver
from carom.sim.stepping.device_model import model_arrays

WORLDS, CONTACTS, STEP, EPS = 8, 24, 0.005, 1e-3

FREE = {
    "one body": ["111111"],
    "body and pusher": ["111111", "110000"],
    "pairs of axes": ["110000", "001100", "000011", "100001"],
    "single axes": ["100000", "010000", "001000", "000100", "000010", "000001", "100000", "010000"],
    "planar bodies and a fixed one": ["110001", "000000", "110001"],
}
"""Free axes of the bodies of each scene, along and about x, y and z."""

AXES = ("x", "y", "z", "rx", "ry", "rz")


@dataclass
class Scene:
    """Random worlds: a model's arrays, states, rows and their contacts, per world."""

    arrays: ModelArrays
    q: wp.array
    v0: wp.array
    control: wp.array
    count: np.ndarray
    rows: ContactRows
    contacts: list[Contacts]
    arms: np.ndarray  # [W, C, 2, 3]
    twist: np.ndarray  # [W, C, 3]
    bodies: np.ndarray  # [W, C, 2]
    mask: np.ndarray  # [B, 6]


def put(values: Any, kind: Any) -> wp.array:
    return wp.array(values, dtype=kind, device="cpu")


@functools.cache
def model_of(name: str, dtype: str) -> Any:
    """Bodies with the free axes of a scene, and an actuator of each kind on some of them."""
    builder = ModelBuilder()
    kinds = (
        {"stiffness": 300.0, "damping": 3.0, "kind": "position"}, {"damping": 5.0, "kind": "velocity"},
        {"kind": "force"},
    )  # fmt: skip
    at = 0
    for i, free in enumerate(FREE[name]):
        locked = [axis for axis, one in zip(AXES, free, strict=True) if one == "0"]
        body = builder.add_body(
            position=(0.3 * i, 0.0, 0.0), mass=1.0, inertia=np.diag([0.01, 0.02, 0.015]), locked=locked
        )
        for axis, one in zip(AXES, free, strict=True):
            if one == "1":
                at += 1
                if at % 2:
                    builder.add_actuator(body, axis, **kinds[(at // 2) % 3])
    return builder.finalize(dtype=dtype)


def random_scene(name: str, kind: Law, dtype: Any, seed: int) -> Scene:
    """Worlds of one scene with random masses, poses, velocities, controls, and contacts between random bodies."""
    p, rng = precision(dtype), np.random.default_rng(seed)
    model = model_of(name, "float64" if dtype is wp.float64 else "float32")
    arrays = model_arrays(model, WORLDS)
    bodies, actuators = model.bodies, model.actuators
    mask = model.body_free.astype(float)
    real = np.float32 if dtype is wp.float32 else np.float64

    def rounded(x: np.ndarray) -> np.ndarray:
        return np.asarray(x).astype(real).astype(float)

    mass = rounded(10.0 ** rng.uniform(-1.0, 0.5, (WORLDS, bodies)))
    spread = rng.normal(size=(WORLDS, bodies, 3, 3)) * 0.02
    inertia = rounded(
        mass[..., None, None] * (np.einsum("...ij,...kj->...ik", spread, spread) + 4e-3 * np.eye(3))
    )  # fmt: skip
    arrays.body_mass.assign(mass)
    arrays.body_inertia.assign(inertia)
    arrays.gravity.assign(np.tile([0.5, 0.0, -9.81], (WORLDS, 1)))
    for array, given in (
        (arrays.actuator_stiffness, model.actuator_stiffness),
        (arrays.actuator_damping, model.actuator_damping),
    ):
        array.assign(given.numpy().repeat(WORLDS, 0) if given.shape[0] == 1 else given.numpy())
    pose = np.zeros((WORLDS, bodies, 7))
    pose[..., :3] = rounded(rng.normal(size=(WORLDS, bodies, 3)) * 0.3)
    turn = rng.normal(size=(WORLDS, bodies, 4))
    pose[..., 3:] = rounded(turn / np.linalg.norm(turn, axis=-1, keepdims=True))
    v0 = rounded(rng.normal(size=(WORLDS, bodies, 6)) * rng.choice([0.0, 0.02, 1.0], (WORLDS, 1, 1)) * mask)

    # pairs of bodies, some twice with another one between, and those of what does not move among them
    rows = ContactRows.allocate(WORLDS, CONTACTS, dtype, "cpu", kind.resists, kind.softens)
    pairs = np.full((WORLDS, CONTACTS, 2), -1)
    count = rng.integers(0, CONTACTS + 1, WORLDS)
    count[0], count[1] = CONTACTS, 0
    for world in range(WORLDS):
        c = 0
        while c < CONTACTS:
            a, b = rng.permutation(np.arange(-1, bodies))[:2]
            size = rng.integers(1, 10)
            pairs[world, c : c + size] = (a, b)
            c += size
    everything = WORLDS * CONTACTS
    sample = random_contacts(kind, everything, seed, EPS)
    points = rng.normal(size=(WORLDS, CONTACTS, 3)) * 0.1
    centres = np.concatenate([pose[..., :3], np.zeros((WORLDS, 1, 3))], axis=1)
    at_world = np.arange(WORLDS)[:, None]
    if kind.resists:
        arms = rng.normal(size=(WORLDS, CONTACTS, 2, 3)) * 0.1
    else:
        arms = (points[:, :, None, :] + centres[at_world, pairs[..., 0]][:, :, None]) - np.stack(
            [centres[at_world, pairs[..., k]] for k in (0, 1)], axis=2
        )
    arms = rounded(arms)
    twist = rounded(rng.normal(size=(WORLDS, CONTACTS, 3)) * 0.02 * (rng.random((WORLDS, CONTACTS, 1)) < 0.5))
    normal = rounded(sample.normal)

    # coefficients as those of near-rigid contacts of these masses; loads of the order of a step's change of momentum
    masses = np.concatenate([mass, np.full((WORLDS, 1), np.inf)], axis=1)
    light = np.minimum(*(masses[at_world, pairs[..., k]] for k in (0, 1))).reshape(-1)
    q = sample.coefficients.copy()
    q[:, 1] = light * 10.0 ** rng.uniform(-1.0, 1.7, everything)
    q[:, 0] = q[:, 1] * rng.normal(size=everything) * rng.choice([0.01, 0.3], everything)
    q[:, 2] = rng.choice([0.0, 0.2, 0.8, 1.5], everything)
    q[:, 3] = np.where(rng.random(everything) < 0.5, EPS, np.hypot(EPS, rng.normal(size=everything) * 0.3))
    if kind.resists:
        q[:, 4:6] = rng.choice([0.0, 1e-3, 0.02], size=(everything, 2))
        q[:, 6] = 0.02
    if kind.softens:
        q[:, -2] = q[:, 1] * rng.choice([0.0, 0.003, 0.03], everything)
    q = rounded(q)

    flat = (WORLDS, CONTACTS)
    rows.body_a.assign(pairs[..., 0].astype(np.int32))
    rows.body_b.assign(pairs[..., 1].astype(np.int32))
    rows.normal.assign(normal.reshape(*flat, 3))
    rows.arm_a.assign(arms[:, :, 0])
    rows.arm_b.assign(arms[:, :, 1])
    rows.twist.assign(twist)
    rows.coefficients.assign(q.reshape(*flat, -1))
    contacts = [
        Contacts(kind, normal.reshape(*flat, 3)[w, :n], np.zeros((n, 6 if kind.resists else 3)),
                 q.reshape(*flat, -1)[w, :n], EPS)
        for w, n in enumerate(count)
    ]  # fmt: skip
    control = rounded(rng.normal(size=(WORLDS, max(actuators, 1))))
    return Scene(
        arrays, put(pose, p.transform), put(v0, p.spatial), put(control, dtype), count, rows, contacts, arms, twist,
        pairs, mask,
    )  # fmt: skip


def solvers(scene: Scene, kind: Law, dtype: Any) -> dict[str, Solver]:
    """The dense solver and that of islands."""
    options = SimulatorOptions(step=STEP, stiction=EPS, max_iterations=200)
    found = {}
    for name, dofs in (("dense", scene.arrays.dofs), ("islands", SMALL + 1)):
        arrays = dataclasses.replace(scene.arrays, dofs=dofs)
        solver = Solver.allocate(dtype, arrays, options, WORLDS, CONTACTS)
        found[name] = solver.resisting() if kind.resists else solver
    assert found["dense"].scratch.graph is None
    assert found["islands"].scratch.graph is not None
    return found

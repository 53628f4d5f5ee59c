"""The dense and the island solver on the same rows, and both against the energy's stationarity in NumPy.

Random worlds of at most eight free axes: one body and several, locked axes, actuators of all kinds, several islands,
contacts between bodies and with what does not move, listed in several groups a pair. Which solver a world gets follows
from its number of free axes; here the island solver is told that there are more.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import warp as wp
from contact_laws import LAWS, Contacts, Law, evaluate, random_contacts

from carom.kernels.contact.row_arrays import ContactRows
from carom.kernels.core.adjoint_arrays import Adjoints
from carom.kernels.core.model_arrays import ModelArrays
from carom.kernels.core.precision import precision
from carom.kernels.core.solver_report import SolverReport
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


def random_scene(name: str, kind: Law, own_arms: bool, dtype: Any, seed: int) -> Scene:
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
    rows = ContactRows.allocate(WORLDS, CONTACTS, dtype, "cpu", kind.resists, kind.softens, own_arms)
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
    if own_arms or kind.resists:
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


def solve(scene: Scene, solver: Solver, dtype: Any) -> np.ndarray:
    """Velocities after a step [W, B, 6]; in no world did the solver fail."""
    p = precision(dtype)
    report = SolverReport.allocate(WORLDS, dtype, "cpu")
    v1 = wp.zeros(scene.v0.shape, dtype=p.spatial, device="cpu")
    solver.solve(scene.q, scene.v0, scene.control, put(scene.count, wp.int32), scene.rows, v1, report)
    assert not report.failed.numpy().any()
    return v1.numpy().astype(float)


def adjoint(scene: Scene, solver: Solver, v1: np.ndarray, seed: np.ndarray, dtype: Any) -> tuple[np.ndarray, ...]:
    """z of H z = ``seed`` at ``v1`` [W, B, 6], and which contacts act [W, C]."""
    p = precision(dtype)
    adjoints = Adjoints.allocate(solver.arrays, CONTACTS, dtype)
    solver.adjoint(
        scene.q, scene.v0, put(v1, p.spatial), put(scene.count, wp.int32), scene.rows, put(seed, p.spatial), adjoints
    )
    return adjoints.z.numpy().astype(float), adjoints.active.numpy()


def actuator_terms(scene: Scene, world: int, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Impulse and its rate by the velocity, both [6 B], of a world's actuators; those on locked axes do nothing."""
    arrays = scene.arrays
    impulse, rate = np.zeros(v.size), np.zeros(v.size)
    pose = scene.q.numpy()[world].astype(float)
    values = (arrays.actuator_body, arrays.actuator_axis, arrays.actuator_kind)
    for i, (body, axis, kind) in enumerate(zip(*(x.numpy() for x in values), strict=True)):
        target = float(scene.control.numpy()[world, i])
        kp, kd = (float(x.numpy()[world, i]) for x in (arrays.actuator_stiffness, arrays.actuator_damping))
        k, x = 6 * body + axis, pose[body, axis % 3]
        if axis >= 3:  # a turn's vector, the shorter way
            vector, w = pose[body, 3:6], pose[body, 6]
            size = np.linalg.norm(vector)
            x = vector[axis - 3] * np.sign(w) * 2.0 * np.arctan2(size, abs(w)) / size
        force, stiff = {
            0: (kp * (target - x - STEP * v[k]) - kd * v[k], STEP * kp + kd), 1: (kd * (target - v[k]), kd),
            2: (target, 0.0),
        }[int(kind)]  # fmt: skip
        impulse[k] += STEP * force
        rate[k] += STEP * stiff
    return impulse, rate


def stationarity(scene: Scene, world: int, v1: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradient [n] and Hessian [n, n] of a world's energy by its free axes in NumPy, mass matrix and sum of terms."""
    contacts, bodies = scene.contacts[world], len(scene.mask)
    v, v0 = v1.reshape(-1), scene.v0.numpy()[world].astype(float)
    mass, local = (x.numpy()[world].astype(float) for x in (scene.arrays.body_mass, scene.arrays.body_inertia))
    pose = scene.q.numpy()[world].astype(float)
    gravity = scene.arrays.gravity.numpy()[world].astype(float)
    matrix, start = np.zeros((6 * bodies, 6 * bodies)), (v0 + np.concatenate([gravity * STEP, np.zeros(3)])).reshape(-1)
    for b in range(bodies):
        x, y, z, w = pose[b, 3:]
        r = np.array([
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ])  # fmt: skip
        matrix[6 * b : 6 * b + 3, 6 * b : 6 * b + 3] = mass[b] * np.eye(3)
        matrix[6 * b + 3 : 6 * b + 6, 6 * b + 3 : 6 * b + 6] = r @ local[b] @ r.T
    impulse, rate = actuator_terms(scene, world, v)
    free = scene.mask.reshape(-1) > 0
    gradient, hessian = matrix @ ((v - start) * free) - impulse, matrix + np.diag(rate)
    terms = np.abs(matrix @ (v - start)) + np.abs(impulse)
    if len(contacts):
        size, resists = len(contacts), contacts.law.resists
        jacobian = np.zeros((size, 6 if resists else 3, 6 * bodies))
        for c in range(size):
            for k, sign in ((0, -1.0), (1, 1.0)):
                b, r = scene.bodies[world, c, k], scene.arms[world, c, k]
                if b >= 0:
                    at = 6 * b
                    cross = np.array([[0, -r[2], r[1]], [r[2], 0, -r[0]], [-r[1], r[0], 0]])
                    jacobian[c, :3, at : at + 3] = sign * np.eye(3)
                    jacobian[c, :3, at + 3 : at + 6] = sign * (
                        np.outer(scene.twist[world, c], contacts.normal[c]) - cross
                    )  # fmt: skip
                    if resists:
                        jacobian[c, 3:, at + 3 : at + 6] = sign * np.eye(3)
        values = evaluate(contacts.moved(jacobian @ v))
        acting = values.excess > 0.0
        push = values.impulse * acting[:, None]
        gradient -= np.einsum("cin,ci->n", jacobian, push)
        terms += np.einsum("cin,ci->n", np.abs(jacobian), np.abs(push))
        hessian = hessian + np.einsum("cin,cij,cjm->nm", jacobian, values.curvature * acting[:, None, None], jacobian)
    return gradient[free], hessian[np.ix_(free, free)], matrix[np.ix_(free, free)], terms[free]


def norms(matrix: np.ndarray, gradient: np.ndarray, terms: np.ndarray) -> tuple[float, float]:
    """Norm of a gradient in the inverse of the mass matrix, and of the terms in it."""
    light = 1.0 / np.sqrt(np.diag(matrix))
    return float(np.sqrt(gradient @ np.linalg.solve(matrix, gradient))), float(np.linalg.norm(terms * light))


CASES = [
    (kind, own_arms) for kind in LAWS for own_arms in (False, True)
    if not kind.of_slopes and not (own_arms and (kind.resists or kind.softens))
]  # fmt: skip
IDS = [f"{kind}{', own arms' if own_arms else ''}" for kind, own_arms in CASES]


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize(("kind", "own_arms"), CASES, ids=IDS)
@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_both_solvers_find_the_minimum(kind: Law, own_arms: bool, name: str, dtype: Any) -> None:
    """In norms of the mass matrix, in which two velocities are no farther apart than their gradients are long.

    Measured: gradients of 5e-13 of the terms in them in float64, of 1.2e-4 in float32, where the solver stops at 1e-4.
    """
    scene = random_scene(name, kind, own_arms, dtype, 8)
    found = {key: solve(scene, solver, dtype) for key, solver in solvers(scene, kind, dtype).items()}
    free = scene.mask.reshape(-1) > 0
    for world in range(WORLDS):
        total = 0.0
        for v1 in found.values():
            gradient, _, matrix, terms = stationarity(scene, world, v1[world])
            wrong, size = norms(matrix, gradient, terms)
            assert wrong <= (2e-12 if dtype is wp.float64 else 3e-4) * size
            total += wrong
        apart = (found["dense"][world] - found["islands"][world]).reshape(-1)
        assert not apart[~free].any()
        assert np.sqrt(apart[free] @ matrix @ apart[free]) <= 1.01 * total + 1e-14 * size


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize(("kind", "own_arms"), CASES, ids=IDS)
@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_both_adjoints_solve_with_the_hessian(kind: Law, own_arms: bool, name: str, dtype: Any) -> None:
    """H z = seed at the dense solver's solution, with the H of NumPy, scaled to ones on its diagonal.

    Measured: a residual of at most 46 units of rounding of the terms in it, so z is right to that times the condition.
    """
    scene = random_scene(name, kind, own_arms, dtype, 9)
    both = solvers(scene, kind, dtype)
    v1 = solve(scene, both["dense"], dtype)
    seed = np.random.default_rng(10).normal(size=v1.shape).astype(np.float32).astype(float)
    found = {key: adjoint(scene, solver, v1, seed, dtype) for key, solver in both.items()}
    free = scene.mask.reshape(-1) > 0
    allowed = 256.0 * precision(dtype).epsilon
    for world, n in enumerate(scene.count):
        np.testing.assert_array_equal(found["dense"][1][world, :n], found["islands"][1][world, :n])
        _, hessian, _, _ = stationarity(scene, world, v1[world])
        light = 1.0 / np.sqrt(np.diag(hessian))
        scaled = hessian * np.outer(light, light)
        right = light * seed[world].reshape(-1)[free]
        values = []
        for z, _ in found.values():
            assert not z[world].reshape(-1)[~free].any()
            values.append(z[world].reshape(-1)[free] / light)
            size = np.abs(values[-1]).max() + np.abs(right).max()
            assert np.abs(scaled @ values[-1] - right).max() <= allowed * size
        apart = np.linalg.norm(values[0] - values[1])
        assert apart <= allowed * np.linalg.cond(scaled) * np.linalg.norm(values[0])


def test_acting_contacts_and_islands_are_met() -> None:
    """Contents of the scenes above: many contacts that act, few, none; several islands and one."""
    scene = random_scene("pairs of axes", LAWS[0], False, wp.float64, 8)
    both = solvers(scene, LAWS[0], wp.float64)
    v1 = solve(scene, both["dense"], wp.float64)
    _, active = adjoint(scene, both["islands"], v1, np.zeros_like(v1), wp.float64)
    acting = [int(active[world, :n].sum()) for world, n in enumerate(scene.count)]
    graph = both["islands"].scratch.graph
    assert graph is not None
    islands = graph.islands.numpy()
    assert max(acting) > 6
    assert min(acting) == 0
    assert islands.max() == 4
    assert islands.min() < 3

"""The dense and the island solver on the same rows, and both against the energy's stationarity in NumPy.

Random worlds of at most eight free axes: one body and several, locked axes, actuators of all kinds, several islands,
contacts between bodies and with what does not move, listed in several groups a pair. Which solver a world gets follows
from its number of free axes; here the island solver is told that there are more.
"""

from typing import Any

import numpy as np
import pytest
import warp as wp
from contact_laws import LAWS, Law, evaluate
from random_rows import CONTACTS, FREE, STEP, WORLDS, Scene, put, random_scene, solvers

from carom.kernels.core.adjoint_arrays import Adjoints
from carom.kernels.core.precision import precision
from carom.kernels.core.solver_report import SolverReport
from carom.sim.stepping.contact_solver import Solver


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


CASES = [kind for kind in LAWS if not kind.of_slopes]


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("kind", CASES, ids=str)
@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_both_solvers_find_the_minimum(kind: Law, name: str, dtype: Any) -> None:
    """In norms of the mass matrix, in which two velocities are no farther apart than their gradients are long.

    Measured: gradients of 5e-13 of the terms in them in float64, of 1.2e-4 in float32, where the solver stops at 1e-4.
    """
    scene = random_scene(name, kind, dtype, 8)
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
@pytest.mark.parametrize("kind", CASES, ids=str)
@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_both_adjoints_solve_with_the_hessian(kind: Law, name: str, dtype: Any) -> None:
    """H z = seed at the dense solver's solution, with the H of NumPy, scaled to ones on its diagonal.

    Measured: a residual of at most 46 units of rounding of the terms in it, so z is right to that times the condition.
    """
    scene = random_scene(name, kind, dtype, 9)
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
    scene = random_scene("pairs of axes", LAWS[0], wp.float64, 8)
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

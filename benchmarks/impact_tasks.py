"""Rows of ``impacts.py``: tasks that others have published, real tosses, and random scenes of all shapes.

The tasks are those of Zhong, Han, Dey and Brikis, "Differentiable Physics Simulations with Contacts" (2022): gradient
descent through impacts. Task 2: a ball that bounces off the ground and a wall is to end at a place; its first velocity
is looked for. Task 3: a disc hits another, that is to end at a place; the force of each of 480 steps is looked for. The
same descent along the formulas of flight and impact stands beside each. Their losses are those of other problems. In
task 2 the impulse of theirs is the nearest of the friction cone, in which friction adds to the normal impulse; with
Coulomb's law the same descent, with right gradients, is at 1.7e-2 after 1,000 iterations. In task 3 their Euler steps
end h v/2 farther, which is worth 9e-4 of the cost. ``dilated=True`` and ``their_discs`` make both by formulas.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from carom.sim import ModelBuilder, Simulator, State

Row = tuple[str, Any, str]

ITERATIONS = 1000


def discs(_: Any) -> Iterator[Row]:
    """Task 3 of Zhong et al.: cost |x2(T)|^2 + .1 times the integral of the squared force."""
    h, steps = 1.0 / 480.0, 480
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    for x in (-2.0, -1.0):
        body = b.add_body(position=(x, x, 0.0), mass=1.0, locked=("z", "angular"))
        b.add_sphere(body, 0.2, friction=0.0, restitution=1.0)
    for axis in ("x", "y"):
        b.add_actuator(0, axis, kind="force")
    m = b.finalize(dtype="float64")
    simulator = Simulator(m, step=h, threads=1)

    def simulated(force: torch.Tensor) -> torch.Tensor:
        return simulator.rollout(m.state(), force[:, None], steps=steps).final.body_q[0, 1, :2]

    losses = []
    for run in (simulated, pushed, their_discs):
        force = torch.full((steps, 2), 3.0, dtype=torch.float64, requires_grad=True)
        for _i in range(ITERATIONS):
            loss = run(force).square().sum() + 0.1 * h * force.square().sum()
            (slope,) = torch.autograd.grad(loss, force)
            force = (force - 10.0 * slope).detach().requires_grad_()
        losses.append(float(loss.detach()))
    yield "two discs, task 3: last loss of 1,000", losses[0], f"{losses[1]:.5g}; least {least_of_discs():.5g}"
    yield "... with their Euler steps, by formulas", losses[2], "1.3958 published"


def pushed(force: torch.Tensor) -> torch.Tensor:
    """Where the second disc of task 3 ends, for a force [steps, 2] along the line of the centres; by formulas."""
    h = 1.0 / len(force)
    a = force.sum(1) * math.sqrt(0.5)
    start = torch.zeros(1, dtype=a.dtype)
    v = torch.cat([start, (a * h).cumsum(0)])
    x = torch.cat([start, (v[:-1] * h + 0.5 * a * h**2).cumsum(0)])
    gap = math.sqrt(2.0) - 0.4
    k = int((x >= gap).nonzero()[0]) - 1
    missing = gap - x[k]
    t = 2.0 * missing / (v[k] + (v[k] ** 2 + 2.0 * a[k] * missing).sqrt())
    moved = (v[k] + a[k] * t) * (1.0 - k * h - t)
    return (-1.0 + moved * math.sqrt(0.5)).expand(2)


def their_discs(force: torch.Tensor) -> torch.Tensor:
    """``pushed`` with the steps of Zhong et al.: poses by the new velocity, impulses of the old one."""
    h = 1.0 / len(force)
    a = force.sum(1) * math.sqrt(0.5)
    v = (a * h).cumsum(0)
    gap = (math.sqrt(2.0) - 0.4) - (v * h).cumsum(0)
    k = int((gap - h * v < 0.0).nonzero()[0])  # the step in which the impulse is found
    missing = (h * v[k] - gap[k]) / v[k] - h
    moved = v[k] * (missing + h * (len(force) - 1 - k))
    return (-1.0 + moved * math.sqrt(0.5)).expand(2)


def least_of_discs() -> float:
    """The least cost in continuous time, of a head-on impact at the time s with the speed w.

    The cheapest force that brings a mass from rest to the distance d and speed w in s costs
    12 d^2/s^3 - 12 d w/s^2 + 4 w^2/s.
    """
    far = math.sqrt(2.0)
    d = far - 0.4
    s, w = np.linspace(0.3, 0.999, 2000)[:, None], np.linspace(0.1, 6.0, 4000)
    effort = 12 * d**2 / s**3 - 12 * d * w / s**2 + 4 * w**2 / s
    return float(((far - (1 - s) * w) ** 2 + 0.1 * effort).min())


GROUND_AND_WALL: dict[str, Any] = {
    "place": (-0.5, 1.0), "radius": 0.1, "wall": 1.75, "e": 0.92, "mu": 0.1, "gravity": 9.8, "time": 0.6,
}  # fmt: skip


def bounced(v: torch.Tensor, *, dilated: bool = False) -> torch.Tensor:
    """Where the ball of task 2 ends, [x, z]; without turning, by the formulas of flight and of Coulomb's law.

    ``dilated``: the impulse is (1 + e) times the point of the friction cone that is nearest to the one that stops the
    ball, as with Zhong et al.
    """
    c = GROUND_AND_WALL
    x, left = torch.tensor(c["place"], dtype=v.dtype), c["time"]
    fall = torch.tensor([0.0, -c["gravity"]], dtype=v.dtype)
    while True:
        height, wall = x[1] - c["radius"], c["wall"] - c["radius"] - x[0]
        to_ground = (v[1] + (v[1] ** 2 + 2 * c["gravity"] * height.clamp(min=0.0)).sqrt()) / c["gravity"]
        to_wall = wall / v[0] if float(v[0]) > 0.0 else to_ground + 1.0
        t = torch.minimum(to_ground, to_wall)
        if float(t) > float(left):
            return x + v * left + 0.5 * fall * left**2
        x, v, left = x + v * t + 0.5 * fall * t**2, v + fall * t, left - t
        across, along = (1, 0) if float(to_ground) < float(to_wall) else (0, 1)
        rub = torch.minimum(c["mu"] * (1 + c["e"]) * v[across].abs(), v[along].abs()) * v[along].sign()
        after = [-c["e"] * v[across], v[along] - rub]
        if dilated:
            normal = (v[across].abs() + c["mu"] * v[along].abs()) / (1 + c["mu"] ** 2)
            assert float(v[along].abs()) > c["mu"] * float(v[across].abs()), "it slides in this task"
            normal = (1 + c["e"]) * normal
            after = [v[across] - v[across].sign() * normal, v[along] - c["mu"] * normal * v[along].sign()]
        v = torch.stack(after if across == 0 else after[::-1])


def wall(_: Any) -> Iterator[Row]:
    """Task 2 of Zhong et al. with their friction of .1: squared distance from the goal."""
    c, h, steps = GROUND_AND_WALL, 0.6 / 288, 288
    b = ModelBuilder(gravity=(0.0, 0.0, -c["gravity"]))
    surface = {"friction": c["mu"], "restitution": c["e"]}
    b.add_ground(**surface)
    b.add_plane(position=(c["wall"], 0.0, 0.0), rotation=(0.0, -math.sqrt(0.5), 0.0, math.sqrt(0.5)), **surface)
    ball = b.add_body(position=(c["place"][0], 0.0, c["place"][1]), mass=1.0, locked=("y", "angular"))
    b.add_sphere(ball, c["radius"], **surface)
    m = b.finalize(dtype="float64")
    simulator = Simulator(m, step=h, threads=1)
    goal = torch.tensor([-2.0, 1.5], dtype=torch.float64)

    def simulated(v: torch.Tensor) -> torch.Tensor:
        stored = torch.zeros(6, dtype=torch.float64)
        stored = torch.stack([v[0], stored[1], v[1] + 0.5 * h * c["gravity"], *stored[3:]])
        return simulator.rollout(State(m.state().body_q, stored[None, None]), steps=steps).final.body_q[0, 0, [0, 2]]

    losses: dict[str, float] = {}
    for name, run in (("carom", simulated), ("formulas", bounced), ("theirs", lambda v: bounced(v, dilated=True))):
        v = torch.tensor([5.0, -5.0], dtype=torch.float64, requires_grad=True)
        for _i in range(ITERATIONS):
            loss = (run(v) - goal).square().sum()
            (slope,) = torch.autograd.grad(loss, v)
            v = (v - 0.01 * slope).detach().requires_grad_()
        losses[name] = float(loss.detach())
    yield "ground and wall, task 2, friction .1: last loss of 1,000", losses["carom"], f"{losses['formulas']:.4g}"
    yield "... with their impulse, by formulas", losses["theirs"], "4e-5 published"


def tosses(options: Any) -> Iterator[Row]:
    """120 tosses of a cube onto a table (Pfrommer, Halm, Posa 2020): mean errors at e = 1e-6 and 0 over each toss."""
    if options.tosses is None:
        yield "real tosses", "not run: name their file with --tosses", ".003"
        return
    width, rate, finer = 0.1048, 148.0, 4
    data = np.load(pathlib.Path(options.tosses))
    start = data["start"]
    paths = []
    for i in range(120):
        path = data["state"][start[i] : start[i + 1]]
        near = int(np.argmax(path[:, 6] <= math.sqrt(3) * width / 2))
        paths.append(path[max(near - 3, 1) :])
    count = min(80, max(len(path) for path in paths))
    first = np.array([path[0] for path in paths])
    q = torch.tensor(np.concatenate([first[:, 4:7], first[:, 1:4], first[:, :1]], 1))[:, None]
    turn, spin = q[:, 0, 3:], torch.tensor(first[:, 7:10])  # in the cube's frame
    twice = 2.0 * torch.cross(turn[:, :3], spin, dim=-1)
    spin = spin + turn[:, 3:] * twice + torch.cross(turn[:, :3], twice, dim=-1)
    v = torch.cat([torch.tensor(first[:, 10:13]), spin], 1)[:, None]
    errors = {}
    for e in (0.0, 1e-6):
        b = ModelBuilder()
        b.add_ground(friction=0.18, restitution=e)
        cube = b.add_body(position=(0.0, 0.0, 1.0), mass=0.37, inertia=np.diag([8.1e-4] * 3))
        b.add_box(cube, (width / 2,) * 3, friction=0.18, restitution=e)
        simulator = Simulator(b.finalize(dtype="float64"), step=1 / rate / finer, allow_overlap=True)
        found = simulator.rollout(State(q, v), steps=finer * (count - 1)).body_q[::finer, :, 0].numpy()
        off = []
        for i, path in enumerate(paths):
            real, mine = path[:count], found[: len(path[:count]), i]
            apart = np.linalg.norm(mine[:, :3] - real[:, 4:7], axis=1) / width
            same = np.abs((mine[:, 3:] * real[:, [1, 2, 3, 0]]).sum(1)).clip(0, 1)
            off.append((apart.mean(), 2 * np.arccos(same).mean()))
        errors[e] = np.mean(off, axis=0)
        yield f"real tosses, e = {e:g}: error of place [widths] and turn [rad]", "{:.4f} {:.4f}".format(*errors[e]), ""
    more = errors[1e-6] - errors[0.0]
    yield "... of e = 1e-6 over those of e = 0", "{:+.4f} {:+.4f}".format(*more), "below .003"


KINDS = ("sphere", "box", "capsule", "cylinder", "hull")


def shapes_at(places: np.ndarray, e: tuple[float, ...], seed: int) -> ModelBuilder:
    """Bodies of all shapes without gravity and friction."""
    rng = np.random.default_rng(seed)
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    for i, place in enumerate(places):
        body = b.add_body(position=tuple(place))
        options = {"friction": 0.0, "restitution": e[i % len(e)]}
        kind = KINDS[i % len(KINDS)]
        if kind == "sphere":
            b.add_sphere(body, 0.05, **options)
        elif kind == "box":
            b.add_box(body, (0.055, 0.04, 0.035), **options)
        elif kind == "capsule":
            b.add_capsule(body, 0.03, 0.04, **options)
        elif kind == "cylinder":
            b.add_cylinder(body, 0.045, 0.035, **options)
        else:
            b.add_convex(body, rng.uniform(-0.05, 0.05, (14, 3)), **options)
    return b


def motion(m: Any, state: State) -> tuple[torch.Tensor, torch.Tensor]:
    """Kinetic energy [J], [W], and momentum [kg m/s], [W, 3], of all bodies."""
    v, spin = state.body_v[..., :3], state.body_v[..., 3:]
    x, w = state.body_q[..., 3:6], state.body_q[..., 6:]
    t = -2.0 * torch.cross(x, spin, dim=-1)
    inside = spin + w * t + torch.cross(-x, t, dim=-1)
    turning = torch.einsum("wbi,wbij,wbj->w", inside, m.body_inertia.expand(len(x), -1, -1, -1), inside)
    return 0.5 * (m.body_mass * v.square().sum(-1)).sum(-1) + 0.5 * turning, (m.body_mass[..., None] * v).sum(1)


def scenes(_: Any) -> Iterator[Row]:
    """1,000 random scenes of 5 bodies, and 100 of 24 that fly at one place."""
    for name, worlds, batches, per_axis, h, goal in (
        ("1,000 sparse scenes, 2 ms", 100, 10, 0, 0.002, "1e-9"), ("100 dense scenes, 5 ms", 20, 5, 24, 0.005, "1e-4")
    ):  # fmt: skip
        gain = drift = 0.0
        for seed in range(batches):
            rng = np.random.default_rng(seed)
            bodies = per_axis or 5
            if per_axis:
                places = np.array([[i, j, k] for i in range(3) for j in range(3) for k in range(3)])[:bodies] * 0.13
            else:
                places = np.array([[0.13 * i, 0.0, 0.0] for i in range(bodies)])
            places = places - places.mean(0)
            m = shapes_at(places, ((1.0,), (0.5,), (1.0, 0.3, 0.8))[seed % 3], seed).finalize(dtype="float64")
            state = m.state(worlds)
            size = (worlds, bodies)
            aside = np.zeros((*size, 3)) if per_axis else rng.normal(0, 0.03, (*size, 3)) * [0.0, 1.0, 1.0]
            turn = rng.normal(size=(*size, 4))
            state.body_q[..., :3] += torch.tensor(aside)
            state.body_q[..., 3:] = torch.tensor(turn / np.linalg.norm(turn, axis=-1, keepdims=True))
            state.body_v[..., :3] = torch.tensor(rng.normal(size=(*size, 3))) - 6.0 * state.body_q[..., :3]
            state.body_v[..., 3:] = torch.tensor(10.0 * rng.normal(size=(*size, 3)))
            simulator = Simulator(m, step=h, allow_overlap=True)
            energy, momentum = first = motion(m, state)
            for _i in range(60):
                state = simulator.rollout(state, steps=1, record=False).final
                before, (energy, momentum) = energy, motion(m, state)
                over = first[0] if per_axis else before
                gain = max(gain, float(((energy - before) / over).max()))
            scale = float((m.body_mass[..., None] * state.body_v[..., :3]).norm(dim=-1).max())
            drift = max(drift, float((momentum - first[1]).abs().max()) / scale)
        yield f"{name}, no friction: greatest gain of energy in a step, in parts", gain, goal
        yield "... momentum, change over 60 steps in parts of a body's", drift, "rounding"


ROWS = (scenes, discs, wall, tosses)

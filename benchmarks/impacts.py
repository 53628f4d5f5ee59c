"""Impacts with restitution: what they conserve, how right their gradients are, and what they cost.

    python benchmarks/impacts.py                       all rows, some minutes
    python benchmarks/impacts.py columns two_balls     some
    python benchmarks/impacts.py --seconds 10          elastic 666 over the published time
    python benchmarks/impacts.py elastic_666 --seconds 10 --steps-of .004 .001 .0001
    python benchmarks/impacts.py tosses --tosses FILE  real tosses; see ``impact_tasks.py``

Energy is that at one time: stored velocities are half a step older than poses. The bouncing and the 666 test are those
of RaiSim's SimBenchmark (balls of 10 kg and 0.1 m; published: bouncing .019 J^2; 666 at 4 and 1 ms 264 and 8.4 J^2, ODE
1.6e3 and 112).
"""

from __future__ import annotations

import argparse
import time
import warnings

import impact_tasks
import numpy as np
import torch
from common import alternate, heading, table

from carom.sim import ModelBuilder, SimulationWarning, Simulator, State

G = 9.81


def spheres(places, *, e, ground=True, gravity=G, radius=0.1, mass=10.0, locked=(), pairs=True, velocity=None, h=0.0):
    """A model of balls and its state; velocities are given at the time of the places."""
    b = ModelBuilder(gravity=(0.0, 0.0, -gravity))
    if ground:
        b.add_ground(friction=0.0, restitution=e)
    for i, place in enumerate(places):
        start = np.zeros(3) if velocity is None else np.asarray(velocity[i])
        body = b.add_body(
            position=tuple(place), velocity=tuple(start + np.array([0.0, 0.0, G * h / 2 if gravity else 0.0])),
            mass=mass, locked=locked,
        )  # fmt: skip
        group = {} if pairs else {"collision_group": 2, "collision_mask": 1}
        b.add_sphere(body, radius, friction=0.0, restitution=e, **group)
    return b.finalize(dtype="float64")


def energy(t, h, mass, gravity=G):
    """Energy [J] of balls along a trajectory, [T + 1]."""
    z, v = t.body_q[:, 0, :, 2].numpy(), t.body_v[:, 0, :, :3].numpy().copy()
    v[..., 2] -= gravity * h / 2
    return (mass * (0.5 * (v**2).sum(-1) + gravity * z)).sum(-1)


def bouncing(_):
    """49 elastic balls from 5 m, 20 s."""
    for h in (0.01, 0.004, 0.001):
        places = [(2.0 * (i % 7), 2.0 * (i // 7), 5.0) for i in range(49)]
        m = spheres(places, e=1.0, pairs=False, h=h)
        t = Simulator(m, step=h, threads=1).rollout(m.state(), steps=round(20 / h))
        e = energy(t, h, 10.0)
        yield f"bouncing, {h * 1e3:g} ms: mean (E - E0)^2, J^2", ((e - e[0]) ** 2).mean(), "1e-4"


def elastic_666(options):
    """216 elastic balls in a cube let go 1.1 m above the ground."""
    grid = np.array([[i, j, k] for k in range(6) for i in range(6) for j in range(6)], dtype=float) * 0.21
    grid[:, 2] += 1.101
    grid += np.random.default_rng(0).uniform(-1, 1, grid.shape) * 1e-3
    goals = {0.004: "50", 0.001: ".1", 0.0001: ".01"}
    for h in options.steps_of:
        goal = goals.get(h, "")
        m = spheres(grid, e=1.0, h=h)
        s, state, found = Simulator(m, step=h, threads=1), m.state(), []
        s.rollout(state, steps=s.options.segment, record=False)  # compiled and recorded
        steps = round(options.seconds / h / 100) * 100
        core = time.process_time()
        for _ in range(steps // 100):
            t = s.rollout(state, steps=100)
            found.append(energy(t, h, 10.0)[1:])
            state = t.final
        core = (time.process_time() - core) / steps
        e, first = np.concatenate(found), 10.0 * G * grid[:, 2].sum()
        yield f"elastic 666, {h * 1e3:g} ms, {options.seconds:g} s: J^2", ((e - first) ** 2).mean(), goal
        yield f"... energy above the ground kept at the end, {h * 1e3:g} ms", e[-1] / first, ".999"
        yield f"... core time a step, {h * 1e3:g} ms [ms]", 1e3 * core, ".69"


def columns(_):
    """Elastic balls one over another, 2 s."""
    for k in (1, 2, 3, 6):
        for h in (0.01, 0.004, 0.001):
            m = spheres([(0, 0, 1.1 + 0.21 * i) for i in range(k)], e=1.0, locked=("x", "y", "angular"), h=h)
            e = energy(Simulator(m, step=h, threads=1).rollout(m.state(), steps=round(2 / h)), h, 10.0) - k * G
            yield f"column of {k}, {h * 1e3:g} ms: energy kept", e[-1] / e[0], "within .01"


def cradle(_):
    """Five balls, one of which comes in at 1 m/s."""
    for gap in (0.0, 1e-6, 1e-3):
        places = [(i * (0.2 + gap) - (0.05 if i == 0 else 0.0), 0, 0) for i in range(5)]
        m = spheres(
            places, e=1.0, ground=False, gravity=0.0, mass=1.0, velocity=[(float(i == 0), 0, 0) for i in range(5)]
        )
        v = Simulator(m, step=1e-3, threads=1).rollout(m.state(), steps=300, record=False).final.body_v[0, :, 0]
        yield f"cradle with gaps of {gap:g} m: speeds", " ".join(f"{float(x):.3f}" for x in v), "0 0 0 0 1"


def step_end(_):
    """Impacts that fall on the end of a step: derivative of the last height by the first."""
    wrong, count = 0, 0
    for h in (1 / 64, 0.01, 0.005, 0.001):
        m = spheres([(0, 0, 1)], e=1.0, gravity=0.0, radius=0.25, velocity=[(0, 0, -1)])
        k = np.arange(3, 103)
        state = m.state(100)
        state.body_q[:, 0, 2] = torch.tensor(0.25 + k * h)
        state.body_q.requires_grad_()
        z = Simulator(m, step=h, threads=1).rollout(state, steps=110).final.body_q[:, 0, 2]
        z.sum().backward()
        wrong += int(((state.body_q.grad[:, 0, 2] + 1).abs() > 1e-6).sum())
        wrong += int(((z.detach() - torch.tensor(110 * h - k * h + 0.25)).abs() > 1e-9).sum())
        count += 100
    yield f"impacts at the end of a step, {count} starts: wrong", wrong, "0"


def two_balls(_):
    """Two elastic balls on a line: derivatives of the second's last place by both places and speeds."""
    for h in (1 / 64, 0.01, 0.02, 0.1):
        b = ModelBuilder(gravity=(0, 0, 0))
        for x, v in ((0.0, 1.0), (0.52, 0.0)):
            body = b.add_body(position=(x, 0, 0), velocity=(v, 0, 0), mass=1.0, locked=("y", "z", "angular"))
            b.add_sphere(body, 0.1, restitution=1.0, friction=0.0)
        m = b.finalize(dtype="float64")
        state = m.state()
        state.body_q.requires_grad_()
        state.body_v.requires_grad_()
        steps = round(1 / h)
        Simulator(m, step=h, threads=1).rollout(state, steps=steps).final.body_q[0, 1, 0].backward()
        found = [*state.body_q.grad[0, :, 0].tolist(), *state.body_v.grad[0, :, 0].tolist()]
        error = max(abs(x - y) for x, y in zip(found, (1.0, 0.0, steps * h, 0.0), strict=True))
        yield f"two balls on a line, {h * 1e3:.4g} ms: error of the Jacobian", error, "1e-6"


def tumbling(_):
    """Elastic boxes without friction that spin at 50 rad/s."""
    b = ModelBuilder()
    b.add_ground(friction=0.0, restitution=1.0)
    body = b.add_body(position=(0, 0, 0.25), velocity=(0, 0, -1), mass=1.3)
    b.add_box(body, (0.06, 0.05, 0.04), friction=0.0, restitution=1.0)
    m = b.finalize(dtype="float64")
    for h in (0.005, 0.00125):
        state = m.state(64)
        gen = torch.Generator().manual_seed(0)
        axis = torch.randn(64, 1, 3, generator=gen, dtype=torch.float64)
        turn = torch.randn(64, 1, 4, generator=gen, dtype=torch.float64)
        state.body_v[..., 3:] = 50.0 * axis / axis.norm(dim=-1, keepdim=True)
        state.body_q[..., 3:] = turn / turn.norm(dim=-1, keepdim=True)
        t = Simulator(m, step=h).rollout(state, steps=round(0.25 / h))
        e = [total(m, State(t.body_q[i], t.body_v[i]), h) for i in (0, -1)]
        error = (e[1] / e[0] - 1).abs()
        yield f"tumbling boxes, 50 rad/s, {h * 1e3:g} ms: energy error, median", float(error.median()), ".01"
        yield "... greatest", float(error.max()), ".01"


def total(m, state, h):
    """Energy [J] of all bodies of the worlds of a state, [W]."""
    v = state.body_v.clone()
    v[..., :3] += 0.5 * h * m.gravity[:, None]
    x, w = state.body_q[..., 3:6], state.body_q[..., 6:]
    spin = v[..., 3:]
    t = -2.0 * torch.cross(x, spin, dim=-1)
    inside = spin + w * t + torch.cross(-x, t, dim=-1)
    j = torch.einsum("wbi,wbij,wbj->wb", inside, m.body_inertia.expand(len(x), -1, -1, -1), inside)
    kinetic = 0.5 * (m.body_mass * (v[..., :3] ** 2).sum(-1) + j)
    fall = -(m.gravity[:, None] * state.body_q[..., :3]).sum(-1) * m.body_mass
    return (kinetic + fall).sum(-1)


def cost(_):
    """Balls in free flight far from the ground, with restitution and without."""
    for n, pairs in ((1, False), (7, False), (49, False), (49, True)):
        runs = {}
        for e in (0.0, 1.0):
            m = spheres([(2.0 * (i % 7), 2.0 * (i // 7), 50.0) for i in range(n)], e=e, pairs=pairs, mass=1.0)
            s = Simulator(m, step=0.002, threads=1)
            runs[str(e)] = lambda s=s, m=m: s.rollout(m.state(worlds=1), steps=320, record=False)
        times = alternate(runs, 15)
        name = f"{n} balls in free flight{', pairs collide' if pairs else ''}: time over that without restitution"
        yield name, times["1.0"].ratio(times["0.0"]), "1.1"


def iterations(_):
    """Newton iterations of steps with impacts over those of others: tumbling boxes with friction."""
    b = ModelBuilder()
    b.add_ground(friction=0.4, restitution=0.6)
    body = b.add_body(position=(0, 0, 0.2), velocity=(0.4, 0.1, -1), angular_velocity=(3, 5, 2), mass=1.3)
    b.add_box(body, (0.06, 0.05, 0.04), friction=0.4, restitution=0.6)
    m = b.finalize(dtype="float64")
    s, state = Simulator(m, threads=1), m.state()
    counts = {False: [], True: []}
    for _i in range(120):
        q, v, _q, _v, found, staged = s.run_forward(
            state.body_q, state.body_v, torch.zeros(1, 1, 0, dtype=torch.float64), _values(m), True
        )
        counts[bool(staged[0, 0])].append(int(found.iterations[0]))
        state = State(q[1], v[1])
    ratio = np.mean(counts[True]) / max(np.mean(counts[False]), 1.0)
    yield f"Newton iterations of the {len(counts[True])} steps with impacts over others", ratio, "1.5"


def _values(m):
    from carom.sim import PARAMETERS

    return {name: getattr(m, name) for name in (*PARAMETERS, "shape_size")}


ROWS = (bouncing, columns, cradle, step_end, two_balls, tumbling, cost, iterations, elastic_666, *impact_tasks.ROWS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.__name__ for row in ROWS]
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--seconds", type=float, default=2.0, help="simulated time of the 666 test [s]")
    parser.add_argument("--steps-of", type=float, nargs="+", default=[0.004, 0.001], help="steps of it [s]")
    parser.add_argument("--tosses", help="file of the real tosses: npz of state [rows, 13] and start [tosses + 1]")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(names):
        parser.error(f"unknown rows {sorted(unknown)}; there are {', '.join(names)}")
    heading("Impacts with restitution, float64")
    warnings.simplefilter("ignore", SimulationWarning)
    lines = []
    for row in ROWS:
        if not options.rows or row.__name__ in options.rows:
            for name, found, goal in row(options):
                shown = found if isinstance(found, str) else f"{found:.5g}"
                print(f"{name}: {shown} (to reach: {goal})", flush=True)
                lines.append((name, shown, goal))
    print()
    table(("", "measured", "to reach"), lines)


if __name__ == "__main__":
    main()

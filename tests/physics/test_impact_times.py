"""Times of impacts of a spinning rod: its end hardly reaches the ground, or comes back to it. Against scipy's roots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

from carom.sim import ModelBuilder, Simulator, State

STEP, HALF, RADIUS, E = 0.01, 0.05, 0.02, 0.7
MASS, INERTIA, GRAVITY = 1.3, 1.3e-3, 9.81
CASES = 400


def end_height(t, speed, angle, spin, gravity):
    """Height of the end of the rod over that of its middle at the start [m]."""
    return speed * t - 0.5 * gravity * t**2 - HALF * np.cos(angle + spin * t)


def grazing() -> Iterator[tuple[float, ...]]:
    """Rods whose lower end touches within the step, without gravity.

    Half of them touch in the last 3 % of the step, and most approach at a speed that the curvature of the end's path is
    about to take away.
    """
    gen = np.random.default_rng(5)
    while True:
        speed, angle, spin = (
            gen.uniform(-0.5, 0.1),
            gen.uniform(0.2, 1.3),
            gen.uniform(10.0, 40.0) * gen.choice([-1, 1]),
        )
        path = (speed, angle, spin, 0.0)
        least = minimize_scalar(end_height, bounds=(0.0, STEP), args=path, method="bounded", options={"xatol": 1e-12}).x
        at = least * gen.uniform(0.9, 0.999) if least < 0.97 * STEP else STEP * (1.0 - 0.03 * gen.uniform() ** 3)
        height = -end_height(at, *path)
        whole = np.abs(angle + spin * np.linspace(0.0, STEP, 50))
        if at < 0.05 * STEP or whole.max() > 1.4 or np.diff(whole)[0] * np.diff(whole)[-1] < 0:
            continue
        if np.any(height + end_height(np.linspace(0.0, at * 0.999, 200), *path) <= 0):
            continue
        time = brentq(lambda t, h=height, p=path: h + end_height(t, *p), 0.5 * at, at * 1.0000001, xtol=1e-16)
        if time < STEP:
            yield height, speed, angle, spin, time


def returning() -> Iterator[tuple[float, ...]]:
    """Rods whose end leaves the ground at the start and comes back once; its path is no parabola."""
    gen = np.random.default_rng(6)
    while True:
        angle, spin, rate = gen.uniform(0.2, 1.2), gen.uniform(3.0, 12.0) * gen.choice([-1, 1]), gen.uniform(0.01, 0.04)
        speed, height = rate - HALF * np.sin(angle) * spin, HALF * np.cos(angle)
        path = (speed, angle, spin, GRAVITY)
        times = np.linspace(0.0, STEP, 1000)[1:]
        below = height + end_height(times, *path) < 0
        if not below.any() or times[below.argmax()] < 0.5 * STEP:
            continue
        last = times[below.argmax()]
        time = brentq(lambda t, h=height, p=path: h + end_height(t, *p), 0.9 * last, last, xtol=1e-16)
        if rate_at(speed, angle, spin, time, GRAVITY) < -0.005 and once((height, speed, angle, spin, time)):
            yield height, speed, angle, spin, time


def once(case):
    """Whether the end does not come back a second time."""
    ((place, stored, turn, spin),) = after(np.array([case]), GRAVITY)[0]
    rest = np.linspace(0.0, STEP - case[-1], 100)[:-1]  # before the end
    speed = stored - 0.5 * GRAVITY * STEP
    return np.all(place - speed * rest - 0.5 * GRAVITY * rest**2 - HALF * np.cos(turn - spin * rest) > 0.0)


def rate_at(speed, angle, spin, time, gravity):
    """Rate of the gap [m/s]."""
    return speed - gravity * time + HALF * np.sin(angle + spin * time) * spin


def after(cases, gravity):
    """Height, stored speed, angle and spin at the end of the step by the law of one impact without friction."""
    height, speed, angle, spin, time = cases.T
    turned = angle + spin * time
    arm, rate = HALF * np.sin(turned), rate_at(speed, angle, spin, time, gravity)
    impulse = -(1.0 + E) * rate / (1.0 / MASS + arm**2 / INERTIA)
    speed1, spin1 = speed - gravity * time + impulse / MASS, spin + arm * impulse / INERTIA
    rest = STEP - time
    place = height + speed * time - 0.5 * gravity * time**2 + speed1 * rest - 0.5 * gravity * rest**2
    stored = speed1 - gravity * (0.5 * STEP - time)  # half a step before the end
    return np.stack([place, stored, turned + spin1 * rest, spin1], 1), rate


def simulated(cases, gravity, dtype):
    """The same by the simulator."""
    b = ModelBuilder(gravity=(0.0, 0.0, -gravity))
    b.add_plane(friction=0.0, restitution=E)
    body = b.add_body(locked=("x", "y", "rx", "rz"), mass=MASS, inertia=np.diag([INERTIA] * 3))
    b.add_capsule(body, RADIUS, HALF, friction=0.0, restitution=E)
    model = b.finalize(dtype=dtype)
    simulator = Simulator(model, step=STEP, threads=1, restitution_threshold=1e-6)
    height, speed, angle, spin, _ = (torch.as_tensor(x, dtype=torch.float64) for x in cases.T)
    state = model.state(len(cases))
    q, v = state.body_q.double().clone(), state.body_v.double().clone()
    # the capsule's axis is z; a turn by angle about y
    q[:, 0, 2], q[:, 0, 4], q[:, 0, 6] = height + RADIUS, (angle / 2).sin(), (angle / 2).cos()
    v[:, 0, 2], v[:, 0, 4] = speed + 0.5 * STEP * gravity, spin  # half a step before the start
    end = simulator.rollout(State(q.to(model.dtype), v.to(model.dtype)), steps=1).final
    turn = 2.0 * torch.atan2(end.body_q[:, 0, 4], end.body_q[:, 0, 6])
    found = torch.stack([end.body_q[:, 0, 2] - RADIUS, end.body_v[:, 0, 2], turn, end.body_v[:, 0, 4]], 1)
    return found.double().numpy()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("draw", "gravity"), [(grazing, 0.0), (returning, GRAVITY)])
def test_the_time_of_an_impact_is_the_root_of_the_gap(draw, gravity, dtype):
    """The spin after it says the time: a late root has another arm and another rate.

    The time has the rounding of the gap over its rate.
    """
    cases = np.array([case for case, _ in zip(draw(), range(CASES), strict=False)])
    expected, rate = after(cases, gravity)
    off = (np.abs(simulated(cases, gravity, dtype) - expected) / np.array([HALF, 0.5, 1.0, 40.0])).max(1)
    assert (rate > -0.05).sum() > 20  # those that graze
    assert (off * np.abs(rate)).max() < 100 * np.finfo(dtype).eps, (np.sort(off)[-5:], cases[off.argmax()])

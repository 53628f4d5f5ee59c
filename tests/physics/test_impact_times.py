"""Times of impacts of a spinning rod that hardly reaches the ground within a step, against roots by scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

from carom.sim import ModelBuilder, Simulator, State

STEP, HALF, RADIUS, E = 0.01, 0.05, 0.02, 0.7
MASS, INERTIA = 1.3, 1.3e-3
CASES = 400


def drawn():
    """Heights [m], speeds [m/s], angles [rad] and spins [rad/s] of rods whose lower end touches within the step.

    The gap is height + speed t - HALF |cos(angle + spin t)| - RADIUS. Half of them touch in the last 3 % of the step,
    and most approach at a speed that the curvature of the end's path is about to take away.
    """
    gen = np.random.default_rng(5)
    found = []
    while len(found) < CASES:
        speed, angle, spin = (
            gen.uniform(-0.5, 0.1),
            gen.uniform(0.2, 1.3),
            gen.uniform(10.0, 40.0) * gen.choice([-1, 1]),
        )

        def lower(t, speed=speed, angle=angle, spin=spin):
            return speed * t - HALF * np.cos(angle + spin * t)

        least = minimize_scalar(lower, bounds=(0.0, STEP), method="bounded", options={"xatol": 1e-12}).x
        at = least * gen.uniform(0.9, 0.999) if least < 0.97 * STEP else STEP * (1.0 - 0.03 * gen.uniform() ** 3)
        height = RADIUS - lower(at)
        whole = np.abs(angle + spin * np.linspace(0.0, STEP, 50))
        if at < 0.05 * STEP or whole.max() > 1.4 or np.diff(whole)[0] * np.diff(whole)[-1] < 0:
            continue
        if np.any(height + lower(np.linspace(0.0, at * 0.999, 200)) - RADIUS <= 0):
            continue
        time = brentq(
            lambda t, height=height, lower=lower: height + lower(t) - RADIUS, 0.5 * at, at * 1.0000001, xtol=1e-16
        )
        if time < STEP:
            found.append((height, speed, angle, spin, time))
    return np.array(found)


def after(cases):
    """Height, speed, angle and spin at the end of the step, by the law of one impact without friction."""
    height, speed, angle, spin, time = cases.T
    turned = angle + spin * time
    arm = HALF * np.sin(turned)  # d(gap)/d(angle)
    rate = speed + arm * spin
    impulse = -(1.0 + E) * rate / (1.0 / MASS + arm**2 / INERTIA)
    speed1, spin1 = speed + impulse / MASS, spin + arm * impulse / INERTIA
    rest = STEP - time
    return np.stack([height + speed * time + speed1 * rest, speed1, turned + spin1 * rest, spin1], 1), rate


def simulated(cases, dtype):
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    b.add_plane(friction=0.0, restitution=E)
    body = b.add_body(locked=("x", "y", "rx", "rz"), mass=MASS, inertia=np.diag([INERTIA] * 3))
    b.add_capsule(body, RADIUS, HALF, friction=0.0, restitution=E)
    model = b.finalize(dtype=dtype)
    simulator = Simulator(model, step=STEP, threads=1, restitution_threshold=1e-6)
    height, speed, angle, spin, _ = (torch.as_tensor(x, dtype=model.dtype) for x in cases.T)
    state = model.state(len(cases))
    q, v = state.body_q.clone(), state.body_v.clone()
    # the capsule's axis is z; a turn by angle about y
    q[:, 0, 2], q[:, 0, 4], q[:, 0, 6] = height, (angle / 2).sin(), (angle / 2).cos()
    v[:, 0, 2], v[:, 0, 4] = speed, spin
    end = simulator.rollout(State(q, v), steps=1).final
    turn = 2.0 * torch.atan2(end.body_q[:, 0, 4], end.body_q[:, 0, 6])
    return torch.stack([end.body_q[:, 0, 2], end.body_v[:, 0, 2], turn, end.body_v[:, 0, 4]], 1).double().numpy()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_time_of_an_impact_is_the_root_of_the_gap(dtype):
    """The spin after it says the time: a late root has another arm and another rate.

    The time has the rounding of the gap over its rate.
    """
    cases = drawn()
    expected, rate = after(cases)
    off = (np.abs(simulated(cases, dtype) - expected) / np.array([HALF, 0.5, 1.0, 40.0])).max(1)
    assert (rate > -0.05).sum() > 20  # those that graze
    assert (off * np.abs(rate)).max() < 100 * np.finfo(dtype).eps

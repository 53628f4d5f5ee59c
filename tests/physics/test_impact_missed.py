"""An impact throws a body faster than all that moved before: it meets what lies farther within the same step."""

import pytest
import torch

from carom.sim import ModelBuilder, Simulator, State

H, HEAVY, LIGHT = 0.02, 1e4, 1.0
RADIUS, GAP, WAY = 0.1, 0.002, 0.034


def thrown(others, speed, *, away=0.0):
    """A heavy ball that hits a light one, that hits a fixed ball in the same step; and ``others`` far from all."""
    b = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    x = 0.0
    for mass, locked in ((HEAVY, ("y", "z", "angular")), (LIGHT, ("y", "z", "angular"))):
        body = b.add_body(position=(x, 0.0, 0.0), mass=mass, locked=locked)
        b.add_sphere(body, RADIUS, restitution=1.0, friction=0.0)
        x += 2 * RADIUS + GAP
    b.add_sphere(-1, RADIUS, position=(x - GAP + WAY, 0.0, 0.0), restitution=1.0, friction=0.0)
    for i in range(others):
        body = b.add_body(position=(3.0 * i, 50.0, 0.0), mass=1.0)
        b.add_sphere(body, RADIUS, restitution=1.0, friction=0.0)
    m = b.finalize(dtype="float64")
    state = m.state()
    v = torch.zeros_like(state.body_v)
    v[0, 0, 0] = 1.0
    return Simulator(m, step=H, threads=1), State(state.body_q, v * speed)


@pytest.mark.parametrize("others", [0, 9])
def test_a_light_ball_meets_what_lies_beyond_the_reach_of_the_heavy_one(others):
    """Thrown at about twice the speed, back at the wall's; the place after the step and its slope by the speed.

    Without a search for missed pairs it ended 4 mm inside the fixed ball.
    ``others`` bring the scene above the pairs that are always compared.
    """
    speed = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    simulator, state = thrown(others, speed)
    final = simulator.rollout(state, steps=1).final
    first = GAP / speed
    after = 2 * HEAVY / (HEAVY + LIGHT) * speed
    second = first + WAY / after
    assert float(second.detach()) < H
    place = 2 * RADIUS + GAP + WAY - after * (H - second)
    assert float(final.body_q[0, 1, 0].detach()) == pytest.approx(float(place.detach()), abs=1e-12)
    assert float(final.body_v[0, 1, 0].detach()) == pytest.approx(-float(after.detach()), abs=1e-11)
    (found,) = torch.autograd.grad(final.body_q[0, 1, 0], speed)
    (wanted,) = torch.autograd.grad(place, speed)
    assert float(found) == pytest.approx(float(wanted), rel=1e-9)

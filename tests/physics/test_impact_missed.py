"""An impact throws a body faster than all that moved before: it meets what lies farther within the same step."""

import pytest
import torch

from carom.sim import ModelBuilder, Simulator, State

H, HEAVY, LIGHT = 0.02, 1e4, 1.0
RADIUS, GAP, WAY = 0.1, 0.002, 0.034


def thrown(others, speed):
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
    state = m.state(len(speed))
    v = torch.zeros_like(state.body_v)
    v[:, 0, 0] = 1.0
    return Simulator(m, step=H, threads=1), State(state.body_q, v * speed[:, None, None])


@pytest.mark.parametrize("others", [0, 9])
def test_a_light_ball_meets_what_lies_beyond_the_reach_of_the_heavy_one(others):
    """Thrown at about twice the speed, back at the wall's; the place after the step and its slope by the speed.

    Without a search for missed pairs it ended 4 mm inside the fixed ball.
    ``others`` bring the scene above the pairs that are always compared.
    """
    speed = torch.tensor([1.0, 0.3, 1.05], dtype=torch.float64, requires_grad=True)  # the second comes too late
    simulator, state = thrown(others, speed)
    final = simulator.rollout(state, steps=1).final
    first = GAP / speed
    after = 2 * HEAVY / (HEAVY + LIGHT) * speed
    second = first + WAY / after
    meets = second < H
    assert meets.tolist() == [True, False, True]
    start = 2 * RADIUS + GAP
    place = torch.where(meets, start + WAY - after * (H - second), start + after * (H - first))
    found, wanted = final.body_q[:, 1, 0], torch.where(meets, -after, after)
    torch.testing.assert_close(found, place, rtol=0, atol=1e-12)
    torch.testing.assert_close(final.body_v[:, 1, 0], wanted, rtol=0, atol=1e-11)
    (slope,) = torch.autograd.grad(found.sum(), speed)
    (known,) = torch.autograd.grad(place.sum(), speed)
    torch.testing.assert_close(slope, known, rtol=1e-9, atol=0)

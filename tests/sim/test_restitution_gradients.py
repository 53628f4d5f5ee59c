"""Exact gradients through impacts with restitution against central differences in float64.

Tolerance as in ``test_gradients.py``: 1e-6 of the derivative plus 1e-10.
"""

import pytest
import torch
from differences import Problem, compare, directions_for
from scenes import about, push, push_targets

from carom.sim import PARAMETERS, ModelBuilder, Simulator


def weights(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def final_loss(t):
    q, v = t.final.body_q, t.final.body_v
    return (q * weights(q.shape[1:], 0).to(q)).sum((1, 2)) + 0.3 * (v * weights(v.shape[1:], 1).to(q)).sum((1, 2))


def problem(builder, *, steps=None, control=None, explicit=False, device="cpu", **options):
    model = builder.finalize(dtype="float64", device=device)
    state = model.state()
    inputs = {"body_q": state.body_q, "body_v": state.body_v}
    if control is not None:
        inputs["control"] = control.to(device)
    for name in PARAMETERS:
        if getattr(model, name).numel() and (explicit or name not in ("shape_stiffness", "shape_damping")):
            inputs[name] = getattr(model, name).clone()
    return Problem(Simulator(model, tolerance=1e-13, **options), inputs, final_loss, steps)


def tumbling(**law):
    b = ModelBuilder()
    b.add_ground(friction=0.4, restitution=0.7, **law)
    body = b.add_body(
        position=(0, 0, 0.25), rotation=about((1, 0.5, 0.2), 0.6), velocity=(0.4, 0.1, -1),
        angular_velocity=(2, 1, 3), mass=1.3,
    )  # fmt: skip
    b.add_box(body, (0.06, 0.05, 0.04), friction=0.5, restitution=0.6, **law)
    return b


def two_boxes():
    """One bounces off the other, which lies on ground that does not bounce."""
    b = ModelBuilder()
    b.add_ground(friction=0.4)
    for i in range(2):
        body = b.add_body(
            position=(0.013 * i, 0.007 * i, 0.06 + 0.25 * i), rotation=about((1, 0.7, 0.2), 0.02 + 1.2 * i),
            velocity=(0.1 * i, 0.2 * i, -1.0 * i), mass=1.3 - 0.3 * i,
        )  # fmt: skip
        b.add_box(body, (0.08, 0.07, 0.05), restitution=0.6 + 0.1 * i, friction=0.4)
    return b


def planar():
    """Locked axes: a box that falls and turns in a plane."""
    b = ModelBuilder()
    b.add_ground(friction=0.3, restitution=0.8)
    body = b.add_body(
        position=(0, 0, 0.2), rotation=about((0, 1, 0), 0.5), velocity=(0.5, 0, -1), locked=("y", "rx", "rz"), mass=0.8
    )
    b.add_box(body, (0.05, 0.04, 0.06), friction=0.3, restitution=0.6)
    return b


def struck_push():
    """The pusher hits the box at some 0.4 m/s, and again."""
    b = push(half=(0.05, 0.06, 0.04), start=-0.09)
    for shape in b._shapes:
        shape.restitution = 0.6
    return problem(b, control=push_targets(60, start=-0.09, distance=0.12))


CASES = {
    "tumbling": lambda **k: problem(tumbling(), steps=60, **k),
    "tumbling, compliant": lambda **k: problem(tumbling(stiffness=2e4, damping=20.0), steps=60, explicit=True, **k),
    "box on box": lambda **k: problem(two_boxes(), steps=60, **k),
    "planar": lambda **k: problem(planar(), steps=60, **k),
}


def check(p, seed=1, entries=3):
    rows = compare(p, directions_for(p.inputs, seed=seed, entries=entries))
    wrong = [r for r in rows if not abs(r[1] - r[2]) <= 1e-6 * r[3] + 1e-10]
    assert not wrong, "\n".join(f"{label}: exact {g:.12e}, differences {d:.12e}" for label, g, d, _ in wrong)
    return rows


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_final_state(device, case):
    rows = check(CASES[case](device=device))
    for name in ("shape_restitution", "body_mass", "body_inertia", "shape_friction", "gravity", "body_v"):
        assert max(abs(r[1]) for r in rows if r[0].startswith(name)) > 1e-3, name


def test_gradient_by_the_controls_of_a_push():
    check(struck_push(), seed=3, entries=2)


def test_gradients_do_not_depend_on_segments_and_on_the_other_worlds():
    model = tumbling().finalize(dtype="float64")
    results = []
    for segment, worlds in ((32, 1), (7, 3)):
        bounce = model.shape_restitution.repeat(worlds, 1)
        bounce[1:] = 0.0
        leaf = bounce.requires_grad_()
        t = Simulator(model, segment=segment).rollout(model.state(worlds), None, {"shape_restitution": leaf}, steps=60)
        results.append(torch.autograd.grad(final_loss(t).sum(), leaf)[0])
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-12, atol=0)
    assert not results[1][1:].any()


def test_the_rollout_is_the_same_with_gradients():
    model = tumbling().finalize()
    plain = Simulator(model).rollout(model.state(), steps=60)
    state = model.state()
    state.body_q.requires_grad_()
    tracked = Simulator(model).rollout(state, steps=60)
    assert torch.equal(plain.body_q, tracked.body_q.detach())
    assert torch.equal(plain.body_v, tracked.body_v.detach())

"""Exact gradients of scenes with rolling and torsional resistance against central differences in float64.

Tolerance as in ``test_gradients.py``: 1e-6 of the derivative plus 1e-10. Worlds of one body are solved as one dense
system, the heap of four in blocks.
"""

import pytest
import torch
from convex_shapes import icosahedron
from differences import Problem, compare, directions_for
from scenes import about, push, push_targets

from carom.sim import PARAMETERS, ModelBuilder, Simulator

RESISTANCES = ("shape_rolling_resistance", "shape_torsional_resistance")


def weights(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def final_loss(t):
    q, v = t.final.body_q, t.final.body_v
    return (q * weights(q.shape[1:], 0).to(q)).sum((1, 2)) + 0.3 * (v * weights(v.shape[1:], 1).to(q)).sum((1, 2))


def problem(builder, *, steps=None, control=None, device="cpu", **options):
    model = builder.finalize(dtype="float64", device=device)
    state = model.state()
    inputs = {"body_q": state.body_q, "body_v": state.body_v}
    if control is not None:
        inputs["control"] = control.to(device)
    for name in PARAMETERS:
        if getattr(model, name).numel() and name not in ("shape_stiffness", "shape_damping"):
            inputs[name] = getattr(model, name).clone()
    return Problem(Simulator(model, tolerance=1e-13, **options), inputs, final_loss, steps)


SHAPES = {
    "sphere": lambda b, body, **k: b.add_sphere(body, 0.05, **k),
    "capsule": lambda b, body, **k: b.add_capsule(body, 0.03, 0.05, **k),
    "box": lambda b, body, **k: b.add_box(body, (0.06, 0.05, 0.04), **k),
    "hull": lambda b, body, **k: b.add_convex(body, icosahedron(0.03), **k),
}


def one(shape, restitution=0.0):
    """A body that lands turning, slides, rolls and spins."""
    b = ModelBuilder()
    b.add_ground(friction=0.4, rolling_resistance=0.001, restitution=restitution)
    body = b.add_body(
        position=(0, 0, 0.09), rotation=about((1, 0.5, 0.2), 0.4), velocity=(0.4, 0.1, -0.5),
        angular_velocity=(2, 3, 8), mass=1.3,
    )  # fmt: skip
    SHAPES[shape](b, body, friction=0.5, rolling_resistance=0.004, torsional_resistance=0.006, restitution=restitution)
    return b


def heap(restitution=0.0):
    """Four bodies that fall on each other."""
    b = ModelBuilder()
    b.add_ground(friction=0.4, torsional_resistance=0.001, restitution=restitution)
    for i, add in enumerate((SHAPES["box"], SHAPES["sphere"], SHAPES["capsule"], SHAPES["hull"])):
        body = b.add_body(
            position=(0.011 * i, -0.008 * i, 0.05 + 0.14 * i), rotation=about((1, 0.5, 0.2 * i), 0.1 + 0.3 * i),
            velocity=(0.05 * i, 0.1, -0.7 * i), angular_velocity=(1 + i, -2, 3 * i), mass=1.3 - 0.2 * i,
        )  # fmt: skip
        add(
            b,
            body,
            friction=0.4,
            rolling_resistance=0.002 + 0.001 * i,
            torsional_resistance=0.004,
            restitution=restitution,
        )
    return b


def resisted_push():
    """Locked axes and actuators; the box turns against torsional resistance."""
    b = push()
    for shape in b._shapes:
        shape.rolling_resistance, shape.torsional_resistance = 0.002, 0.005
    return b


CASES = {
    **{shape: lambda shape=shape, **k: problem(one(shape), steps=50, **k) for shape in SHAPES},
    "heap": lambda **k: problem(heap(), steps=50, **k),
    "push": lambda **k: problem(resisted_push(), control=push_targets(40), **k),
    "quasi-dynamic push": lambda **k: problem(resisted_push(), control=push_targets(40), quasi_dynamic=True, **k),
    "bouncing box": lambda **k: problem(one("box", restitution=0.6), steps=50, **k),
    "bouncing heap": lambda **k: problem(heap(restitution=0.5), steps=50, **k),
}


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_final_state(device, case):
    p = CASES[case](device=device)
    if case == "bouncing heap":  # an impact leaves 2e-12 of its change of speed to rounding, which the heap makes more
        p.widths, p.rounding = tuple(10.0 * eps for eps in p.widths), 2e-11
    rows = compare(p, directions_for(p.inputs, seed=1, entries=2))
    wrong = [r for r in rows if not abs(r[1] - r[2]) <= 1e-6 * r[3] + 1e-10]
    assert not wrong, "\n".join(f"{label}: exact {g:.12e}, differences {d:.12e}" for label, g, d, _ in wrong)
    for name in (*RESISTANCES, "shape_friction"):
        assert max(abs(r[1]) for r in rows if r[0].startswith(name)) > 1e-4, name


@pytest.mark.parametrize("scene", [lambda: one("sphere"), heap], ids=["dense", "blocks"])
def test_gradient_at_coefficients_of_zero(scene):
    """A rollout without resistance has the gradient from above: one-sided differences of second order."""
    model = scene().finalize(dtype="float64")
    simulator = Simulator(model, tolerance=1e-13)
    names = dict.fromkeys(RESISTANCES, torch.zeros_like(model.shape_friction))
    leaves = {name: value.clone().requires_grad_() for name, value in names.items()}
    t = simulator.rollout(model.state(), None, leaves, steps=20)
    exact = torch.autograd.grad(final_loss(t).sum(), list(leaves.values()))
    with torch.no_grad():
        bare = simulator.rollout(model.state(), None, names, steps=20)
        torch.testing.assert_close(t.final.body_q, bare.final.body_q, rtol=0, atol=0)
        for name, gradient in zip(RESISTANCES, exact, strict=True):

            def loss(eps, name=name):
                values = names | {name: torch.full_like(names[name], eps)}
                return final_loss(simulator.rollout(model.state(), None, values, steps=20)).item()

            eps = 3e-7  # the third derivative is 1e7 times the first where slip starts and stops: 1e-6 leaves 1e-5
            slope = (4 * loss(eps) - 3 * loss(0.0) - loss(2 * eps)) / (2 * eps)
            assert abs(slope) > 0.1
            assert gradient.sum().item() == pytest.approx(slope, rel=1e-5)


def test_gradients_do_not_depend_on_segments_and_on_the_other_worlds():
    model = heap().finalize(dtype="float64")
    results = []
    for segment, worlds in ((32, 1), (7, 3)):
        leaf = model.shape_torsional_resistance.repeat(worlds, 1)
        leaf[1:] = 0.0
        leaf.requires_grad_()
        values = {"shape_torsional_resistance": leaf}
        t = Simulator(model, segment=segment).rollout(model.state(worlds), None, values, steps=40)
        results.append(torch.autograd.grad(final_loss(t).sum(), leaf)[0])
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-12, atol=0)


def test_the_rollout_is_the_same_with_gradients():
    model = one("box").finalize()
    plain = Simulator(model).rollout(model.state(), steps=60)
    state = model.state()
    state.body_v.requires_grad_()
    tracked = Simulator(model).rollout(state, steps=60)
    assert torch.equal(plain.body_q, tracked.body_q)
    assert torch.equal(plain.body_v, tracked.body_v)

"""Gradients with softened contact against central differences in float64, and over a hard forward pass.

Tolerance as in ``test_gradients.py``: 1e-6 of the derivative plus 1e-10.
"""

import math

import numpy as np
import pytest
import torch
from convex_shapes import icosahedron
from differences import Problem, compare, directions_for
from scenes import G, about, push, push_targets

from carom.sim import (
    PARAMETERS,
    CapacityError,
    LogBarrier,
    ModelBuilder,
    ModelError,
    Simulator,
    Softplus,
    StateError,
    record,
)

BOX = (0.05, 0.06, 0.04)


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
        if name == "shape_restitution" or not getattr(model, name).numel():
            continue
        if explicit or name not in ("shape_stiffness", "shape_damping"):
            inputs[name] = getattr(model, name).clone()
    return Problem(Simulator(model, tolerance=1e-13, **options), inputs, final_loss, steps)


def assert_exact(p, directions):
    wrong = [
        f"{label}: exact {slope:.12e}, differences {value:.12e}"
        for label, slope, value, scale in compare(p, directions)
        if not abs(slope - value) <= 1e-6 * scale + 1e-10
    ]
    assert not wrong, "\n".join(wrong)


def far_push(**options):
    """The pusher starts 2 cm away, and its softened contact acts from there."""
    return problem(push(start=-0.09, half=BOX), control=push_targets(32, start=-0.09, distance=0.05), **options)


def falling_on(first, second):
    """One shape stands on the ground, the other falls on it, turning; all contacts are softened."""
    add = {
        "box": lambda b, body: b.add_box(body, BOX, friction=0.4),
        "hull": lambda b, body: b.add_convex(body, icosahedron(0.03), friction=0.4),
        "sphere": lambda b, body: b.add_sphere(body, 0.05, friction=0.4),
    }
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    low = b.add_body(position=(0, 0, 0.055), rotation=about((1, 2, 3), 0.3), velocity=(0.3, 0.1, 0), mass=1.3)
    add[first](b, low)
    high = b.add_body(
        position=(0.013, 0.007, 0.19), rotation=about((1, 0.7, 0.2), 0.9), velocity=(0.1, 0.2, -1.0),
        angular_velocity=(1.0, 2.0, 0.5), mass=0.9,
    )  # fmt: skip
    add[second](b, high)
    return b


def resisting():
    """A ball that slides and spins past a box; world axes of the box are locked, so that the world is small."""
    b = ModelBuilder()
    b.add_ground(friction=0.4, rolling_resistance=0.001)
    ball = b.add_body(position=(0, 0, 0.052), velocity=(1, 0.3, 0), angular_velocity=(2, 3, 8), mass=0.7)
    b.add_sphere(ball, 0.05, friction=0.5, rolling_resistance=0.004, torsional_resistance=0.006)
    return b


CASES = {
    "far push, softplus": lambda **k: far_push(softening=Softplus(3e-3, shapes=["sphere2"]), **k),
    "far push, log barrier": lambda **k: far_push(softening=LogBarrier(3e-4, shapes=["sphere2"]), **k),
    "compliant push, all softened": lambda **k: problem(
        push(half=BOX, stiffness=4e4, damping=100.0),
        control=push_targets(32, distance=0.04),
        explicit=True,
        softening=Softplus(2e-4),
        **k,
    ),
    "quasi-dynamic push": lambda **k: far_push(softening=Softplus(2e-3, shapes=["sphere2"]), quasi_dynamic=True, **k),
    "box on box": lambda **k: problem(falling_on("box", "box"), steps=30, softening=Softplus(5e-4), **k),
    "hull on box": lambda **k: problem(falling_on("box", "hull"), steps=30, softening=LogBarrier(5e-5), **k),
}


@pytest.mark.parametrize("case", CASES)
def test_gradient_with_softened_forward_pass(device, case):
    p = CASES[case](device=device)
    assert_exact(p, directions_for(p.inputs, seed=1, entries=1))


@pytest.mark.slow
def test_gradient_with_resistance(device):
    p = problem(resisting(), steps=50, softening=Softplus(5e-4), device=device)
    assert_exact(p, directions_for(p.inputs, seed=1, entries=2))


def stacked_balls():
    """Two balls over the ground that can only move up and down: two contacts, two velocities."""
    compliant = {"friction": 0.0, "stiffness": 2e4, "damping": 20.0}
    b = ModelBuilder()
    b.add_ground(**compliant)
    for i, mass in enumerate((1.0, 0.6)):
        body = b.add_body(
            position=(0, 0, 0.0505 + 0.103 * i), velocity=(0, 0, -0.3 * i), mass=mass, locked=("x", "y", "angular")
        )
        b.add_sphere(body, 0.05, **compliant)
    return b


def by_hand(start, steps, law, h=0.005):
    """The two balls' final heights and velocities, in plain numpy; ``law(t, z, beta)`` gives impulses and slopes."""
    m = np.array([1.0, 0.6])
    k, d = 1e4, 20.0  # two stiffnesses in series; the dampings are alike
    b = h * h * k + h * d
    jacobian = np.array([[1.0, 0.0], [-1.0, 1.0]])  # separation speeds
    x, v = start[:2].copy(), start[2:].copy()
    for t in range(steps):
        gap = np.array([x[0] - 0.05, x[1] - x[0] - 0.1])
        target = v - h * G
        for _ in range(100):
            load, slope = law(t, -h * k * gap - b * (jacobian @ v))
            r = m * (v - target) - jacobian.T @ load
            hessian = np.diag(m) + jacobian.T @ np.diag(b * slope) @ jacobian
            change = np.linalg.solve(hessian, -r)
            v = v + change
            if np.abs(change).max() < 1e-15:
                break
        x = x + h * v
    return np.concatenate([x, v])


def test_backward_only_is_the_gradient_of_the_step_with_softened_slopes_and_hard_impulses():
    """Against differences of a program of its own, whose law p(z) - p(z_hard) + hard impulse passes through the hard
    states: the forward pass is hard contact to the bit, and the gradient is exact for that program."""
    model = stacked_balls().finalize(dtype="float64")
    width, steps = 1e-3, 30
    model_state = model.state()
    start = np.concatenate([model_state.body_q[0, :, 2].numpy(), model_state.body_v[0, :, 2].numpy()])

    def rollout(**options):
        state = model.state()
        leaves = [state.body_q.requires_grad_(), state.body_v.requires_grad_()]
        t = Simulator(model, tolerance=1e-14, **options).rollout(state, steps=steps)
        end = torch.cat([t.final.body_q[0, :, 2], t.final.body_v[0, :, 2]])
        rows = [torch.autograd.grad(x, leaves, retain_graph=True) for x in end]
        return t, torch.stack([torch.cat([q[0, :, 2], v[0, :, 2]]) for q, v in rows]).numpy()

    hard, exact = rollout()
    soft, found = rollout(softening=Softplus(width, forward=False))
    assert torch.equal(hard.body_q, soft.body_q)
    assert torch.equal(hard.body_v, soft.body_v)

    seen = {}

    def hard_law(t, z):
        seen[t] = z
        return np.maximum(z, 0.0), (z > 0).astype(float)

    end = by_hand(start, steps, hard_law)
    np.testing.assert_allclose(end[:2], hard.final.body_q[0, :, 2].detach().numpy(), atol=1e-12)
    at = dict(seen)
    assert min(z.min() for z in at.values()) < 0 < max(z.max() for z in at.values())
    beta = 0.005 * 1e4 * width

    def softplus(z):
        return beta * np.logaddexp(0.0, z / beta)

    def law(t, z):
        return softplus(z) - softplus(at[t]) + np.maximum(at[t], 0.0), 1.0 / (1.0 + np.exp(-z / beta))

    np.testing.assert_allclose(by_hand(start, steps, law), end, atol=1e-12)
    eps = 1e-6
    differences = [
        (by_hand(start + eps * unit, steps, law) - by_hand(start - eps * unit, steps, law)) / (2 * eps)
        for unit in np.eye(4)
    ]
    np.testing.assert_allclose(found, np.array(differences).T, rtol=1e-6, atol=1e-6 * np.abs(found).max())
    assert np.abs(found - exact).max() > 0.1 * np.abs(exact).max()  # not the hard gradient


def test_backward_only_feels_a_box_that_is_not_touched():
    """The hard gradient of the box's position by the pusher's targets is zero; the softened one points at the box."""
    model = push(start=-0.09).finalize(dtype="float64")
    control = torch.full((40, 1, 2), 0.02, dtype=torch.float64)
    control[..., 0] = -0.09

    def gradient(**options):
        c = control.clone().requires_grad_()
        t = Simulator(model, **options).rollout(model.state(), c)
        (g,) = torch.autograd.grad(t.final.body_q[0, 0, 0], c)
        return t, g

    hard, zero = gradient()
    assert not zero.any()
    names = [model.shape_names[2]]
    for function in (Softplus(3e-3, names, forward=False), LogBarrier(3e-4, names, forward=False)):
        t, g = gradient(softening=function)
        assert torch.equal(t.body_q, hard.body_q)
        assert (g[:-1, 0, 0] > 0).all()


def test_narrow_width_has_the_hard_gradient_of_what_touches():
    model = push(half=BOX).finalize(dtype="float64")
    control = push_targets(32, distance=0.03)

    def gradient(**options):
        c = control.clone().requires_grad_()
        Simulator(model, **options).rollout(model.state(), c).final.body_q[0, 0].sum().backward()
        return c.grad

    hard = gradient()
    for forward in (True, False):
        off = [float((gradient(softening=LogBarrier(w, forward=forward)) - hard).norm()) for w in (1e-6, 2.5e-7)]
        assert off[1] < 1e-3 * float(hard.norm())
        assert off[1] < off[0] / 8  # second order in the width


def test_forces_are_felt_from_a_distance():
    """Force k w log(1 + exp(-g/w)), g the gap looked ahead to, between a pusher and a box; without friction."""
    model = push(start=-0.08, offset=0.0, friction=0.0).finalize(dtype="float64")
    simulator = Simulator(model, softening=Softplus(2e-3, [model.shape_names[2]]))
    control = torch.tensor([[[-0.08, 0.0]]], dtype=torch.float64)
    t = simulator.rollout(model.state(), control)
    r = record(simulator, t, control)
    pair = (r.contact_shape == 2).any(axis=1)
    assert pair.sum() == 1
    assert r.contact_gap[pair][0] == pytest.approx(0.01, abs=1e-9)
    force = -r.contact_force[pair][0][0]  # recorded is that on the pusher
    assert force == pytest.approx(1.0 * float(t.final.body_v[0, 0, 0]) / 0.005, rel=1e-9)
    k, d = 0.5 * (2 * math.pi / 0.005) ** 2, 2 * 0.5 * (2 * math.pi / 0.005)
    ahead = 0.01 + (0.005 + d / k) * float(t.final.body_v[0, 0, 0] - t.final.body_v[0, 1, 0])
    assert force == pytest.approx(k * 2e-3 * math.log1p(math.exp(-ahead / 2e-3)), rel=1e-9)


@pytest.mark.parametrize("width", [0.0, -1e-3, math.nan, math.inf, True, "wide"])
def test_refuses_widths_that_are_not_positive(width):
    for function in (Softplus, LogBarrier):
        with pytest.raises(ModelError, match=r"width must be a positive finite number \[m\]"):
            function(width)


def test_refuses_what_is_not_supported():
    model = push().finalize(dtype="float64")
    with pytest.raises(ModelError, match=r"no shape 'pusher'; there are"):
        Simulator(model, softening=Softplus(1e-3, ["pusher"]))
    with pytest.raises(ModelError, match=r"shapes must be a sequence of names"):
        Softplus(1e-3, "pusher")
    with pytest.raises(ModelError, match=r"softening must be Hard\(\), Softplus\(width\)"):
        Simulator(model, softening=1e-3)
    control = push_targets(2, distance=0.001)
    bouncing = torch.full((1, 3), 0.5, dtype=torch.float64)
    with pytest.raises(StateError, match=r"has restitution, and the simulator's contacts are softened"):
        Simulator(model, softening=Softplus(1e-3)).rollout(model.state(), control, {"shape_restitution": bouncing})


def test_a_gradient_that_lists_more_contacts_than_fit_is_refused():
    model = stacked_balls().finalize(dtype="float64")
    state = model.state()
    state.body_q[0, 1, 2] += 0.03
    state.body_q.requires_grad_()
    simulator = Simulator(model, softening=Softplus(5e-3, forward=False), contact_capacity=1)
    end = simulator.rollout(state, steps=2).final.body_q.sum()
    with pytest.raises(CapacityError, match=r"room for 1.*the width of softened contact"):
        end.backward()

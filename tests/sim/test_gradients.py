"""Exact gradients against central differences in float64, for every kind of input, through every kind of contact.

Tolerance: 1e-6 of the derivative, the figure the project promises, plus FLOOR. The losses are of order one and
carry some 5e-15 of rounding after a rollout; where a step of 1e-4 is the best compromise with Taylor's error, the
differences are off by 5e-11. So derivatives below 1e-4 cannot be checked to 1e-6 of their own size, only to that.
"""

import math

import pytest
import torch
from differences import Direction, Problem, compare, directions_for
from scenes import about, box_on_ground, free_body, push, push_targets, sphere_on_ground

from carom.sim import PARAMETERS, ModelBuilder, Simulator, State

RELATIVE = 1e-6
FLOOR = 1e-10


def weights(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def final_loss(t):
    """A fixed random combination of all coordinates and velocities of the last state, one a world."""
    q, v = t.final.body_q, t.final.body_v
    return (q * weights(q.shape[1:], 0).to(q)).sum((1, 2)) + 0.3 * (v * weights(v.shape[1:], 1).to(q)).sum((1, 2))


def path_loss(t):
    """Non-linear in every state but the last of a trajectory."""
    q, v = t.body_q[:-1], t.body_v[:-1]
    cost = (q * weights((q.shape[0], 1, *q.shape[2:]), 2).to(q)).sum((2, 3)) + 0.1 * (v**2).sum((2, 3))
    return cost.mean(0)


def problem(
    builder, *, steps=None, control=None, loss=final_loss, explicit=False, device="cpu", record=True, **options
):
    model = builder.finalize(dtype="float64", device=device)
    # solved further than by default, so that the differences see the rounding of the step and not its tolerance
    simulator = Simulator(model, tolerance=1e-13, **options)
    state = model.state()
    inputs = {"body_q": state.body_q, "body_v": state.body_v}
    if control is not None:
        inputs["control"] = control.to(device)
    for name in PARAMETERS:
        value = getattr(model, name)
        if value.numel() and (explicit or name not in ("shape_stiffness", "shape_damping")):
            inputs[name] = value.clone()
    return Problem(simulator, inputs, loss, steps, record)


def on_slope(builder, angle):
    builder.gravity[:] = 9.81 * math.sin(angle), 0.0, -9.81 * math.cos(angle)
    return builder


BRICK = (0.06, 0.05, 0.04)


def capsule_on_ground(**body):
    b = ModelBuilder()
    b.add_ground(friction=0.4)
    capsule = b.add_body(position=(0, 0, 0.05), rotation=about((1, 0, 0), math.pi / 2), mass=0.7, **body)
    b.add_capsule(capsule, 0.05, 0.08, friction=0.3)
    return b


def two_boxes():
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    for i in range(2):
        box = b.add_body(
            position=(0.01 * i, 0.005 * i, 0.05 + 0.1 * i), rotation=about((0, 0, 1), 0.2 * i),
            velocity=(0.5 * i, 0.1 * i, 0), mass=1.0 + i,
        )  # fmt: skip
        b.add_box(box, (0.05, 0.06, 0.05), friction=0.4)
    return b


def pair_of(first, second):
    """One shape lies still on the ground, not quite level; the other drops on it, turned and spinning."""
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    shapes = {
        "sphere": lambda body: b.add_sphere(body, 0.06, friction=0.4),
        "capsule": lambda body: b.add_capsule(body, 0.05, 0.08, friction=0.4),
        "box": lambda body: b.add_box(body, (0.08, 0.07, 0.05), friction=0.4),
    }
    lying = about((1, 0.1, 0), math.pi / 2) if first == "capsule" else about((1, 2, 3), 0.02)
    low = b.add_body(position=(0, 0, 0.06), rotation=lying, mass=1.3)
    shapes[first](low)
    high = b.add_body(
        position=(0.013, 0.007, 0.245), rotation=about((1, 0.7, 0.2), 1.2), velocity=(0.1, 0.2, -1.0),
        angular_velocity=(1.0, 2.0, 0.5), mass=0.9,
    )  # fmt: skip
    shapes[second](high)
    return b


def ball_hits_box():
    b = ModelBuilder(gravity=(0, 0, 0))
    ball = b.add_body(velocity=(1, 0, 0), mass=1.0)
    b.add_sphere(ball, 0.1, friction=0.4)
    box = b.add_body(position=(0.22, 0.05, 0.03), angular_velocity=(0, 0, 3), mass=2.0)
    b.add_box(box, (0.05, 0.1, 0.08), friction=0.3)
    return b


def six_actuators():
    b = ModelBuilder(gravity=(0, 0, -1.0))
    box = b.add_body(mass=1.0, velocity=(1, 0, 0), rotation=about((1, 2, 3), 0.7), angular_velocity=(1, 2, 3))
    b.add_box(box, (0.1, 0.06, 0.03))
    b.add_actuator(box, "x", "position", stiffness=50, damping=3)
    b.add_actuator(box, "y", "velocity", damping=4)
    b.add_actuator(box, "z", "force")
    b.add_actuator(box, "rx", "position", stiffness=0.5, damping=0.02)
    b.add_actuator(box, "ry", "velocity", damping=0.03)
    b.add_actuator(box, "rz", "force")
    return b


def random_control(steps, columns, size):
    return size * weights((steps, 1, columns), 5)


CASES = {
    "sticking": lambda **k: problem(on_slope(box_on_ground(half=BRICK), 0.3), steps=60, **k),
    "sliding": lambda **k: problem(
        box_on_ground(half=BRICK, velocity=(1, 0.3, 0), angular_velocity=(0, 0, 2)), steps=60, **k
    ),
    "coming to rest": lambda **k: problem(
        box_on_ground(half=BRICK, velocity=(0.5, 0.1, 0), angular_velocity=(0, 0, 2)), steps=100, **k
    ),
    "rolling": lambda **k: problem(
        sphere_on_ground(velocity=(1, 0.2, 0), angular_velocity=(0.3, 0.2, 1)), steps=100, **k
    ),
    "capsule rolling": lambda **k: problem(
        capsule_on_ground(velocity=(1, 0.1, 0), angular_velocity=(0, 3, 1)), steps=80, **k
    ),
    "impact": lambda **k: problem(
        box_on_ground(half=BRICK, lift=0.05, rotation=about((1, 0.3, 0.2), 0.5), velocity=(0.3, 0.1, -1)), steps=60, **k
    ),
    "ball hits box": lambda **k: problem(ball_hits_box(), steps=30, **k),
    "box on box": lambda **k: problem(two_boxes(), steps=60, **k),
    **{
        f"{second} falls on {first}": lambda first=first, second=second, **k: problem(
            pair_of(first, second), steps=60, **k
        )
        for first in ("sphere", "capsule", "box")
        for second in ("sphere", "capsule", "box")
    },
    "push": lambda **k: problem(push(half=(0.05, 0.06, 0.04)), control=push_targets(100, distance=0.1), **k),
    "push, compliant": lambda **k: problem(
        push(half=(0.05, 0.06, 0.04), stiffness=4e4, damping=100.0),
        control=push_targets(100, distance=0.1),
        explicit=True,
        **k,
    ),
    "quasi-dynamic push": lambda **k: problem(
        push(half=(0.05, 0.06, 0.04)), control=push_targets(100, distance=0.1), quasi_dynamic=True, **k
    ),
    "quasi-dynamic push, compliant": lambda **k: problem(
        push(half=(0.05, 0.06, 0.04), stiffness=4e4, damping=100.0),
        control=push_targets(60, distance=0.06),
        explicit=True,
        quasi_dynamic=True,
        **k,
    ),
    "actuators": lambda **k: problem(six_actuators(), control=random_control(40, 6, 0.1), step=0.01, **k),
    "tumbling": lambda **k: problem(
        free_body(velocity=(1, 2, 3), angular_velocity=(3, 7, 2)), steps=60, step=0.01, **k
    ),
}


def assert_exact(p, directions):
    rows = compare(p, directions)
    assert rows
    wrong = [
        f"{label}: exact {slope:.12e}, differences {value:.12e}"
        for label, slope, value, scale in rows
        if not abs(slope - value) <= RELATIVE * scale + FLOOR
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_final_state(device, case):
    p = CASES[case](device=device)
    assert_exact(p, directions_for(p.inputs, seed=1, entries=3))


@pytest.mark.parametrize("case", ["push", "impact", "quasi-dynamic push", "box on box"])
def test_gradient_of_states_on_the_way(case):
    p = CASES[case](loss=path_loss)
    assert_exact(p, directions_for(p.inputs, seed=2, entries=1))


@pytest.mark.parametrize("case", ["push", "impact"])
def test_recording_changes_no_gradient(case):
    kept, dropped = (CASES[case](record=r).gradient() for r in (True, False))
    for name in kept:
        assert torch.equal(kept[name], dropped[name]), name


def test_first_and_last_state_of_the_path_carry_their_seed():
    p = CASES["sliding"]()
    p.loss = lambda t: (t.body_q[0] * 2.0).sum((1, 2))
    g = p.gradient()
    assert torch.equal(g["body_q"], torch.full_like(g["body_q"], 2.0))
    assert not g["body_v"].any()
    p.loss = lambda t: (t.final.body_q * weights(t.final.body_q.shape, 0)).sum((1, 2))
    final = p.gradient()
    p.loss = lambda t: (t.body_q[-1] * weights(t.final.body_q.shape, 0)).sum((1, 2))
    path = p.gradient()
    for name in final:
        assert torch.equal(final[name], path[name]), name


def test_gradients_of_every_control_of_a_push():
    """All 2 x 30 controls one by one, and the derivatives of the steps after a control's effect has ended."""
    p = problem(push(half=(0.05, 0.06, 0.04)), control=push_targets(30, distance=0.03))
    only = {"control": p.inputs["control"]}
    assert_exact(p, directions_for(only, seed=3, entries=2))
    directions = []
    for i in range(60):
        unit = torch.zeros(30, 1, 2, dtype=torch.float64)
        unit.view(-1)[i] = 0.1
        directions.append(Direction("control", f"entry {i}", unit))
    assert_exact(p, directions)


def many_worlds(worlds=5):
    """A push of several worlds with controls and parameters of their own."""
    model = push(half=(0.05, 0.06, 0.04)).finalize(dtype="float64")
    control = push_targets(60, distance=0.08, worlds=worlds)
    control[..., 1] += 0.005 * torch.arange(worlds, dtype=torch.float64)
    mass = model.body_mass * (1.0 + 0.1 * torch.arange(worlds, dtype=torch.float64))[:, None]
    friction = model.shape_friction * (1.0 - 0.05 * torch.arange(worlds, dtype=torch.float64))[:, None]
    return model, control, mass, friction


def test_per_world_parameters_and_one_row_for_all():
    model, control, mass, friction = many_worlds()
    simulator = Simulator(model, tolerance=1e-13)
    mass.requires_grad_()
    friction.requires_grad_()
    gravity = model.gravity.clone().requires_grad_()
    bare_gravity = model.gravity[0].clone().requires_grad_()

    def value(g):
        t = simulator.rollout(model.state(5), control, {"body_mass": mass, "shape_friction": friction, "gravity": g})
        return final_loss(t)

    together = torch.autograd.grad(value(gravity).sum(), [mass, friction, gravity])
    bare = torch.autograd.grad(value(bare_gravity).sum(), bare_gravity)[0]
    assert torch.equal(bare, together[2][0])
    total = torch.zeros(1, 3, dtype=torch.float64)
    for w in range(5):
        m, f, g = (x.detach().clone().requires_grad_() for x in (mass[w : w + 1], friction[w : w + 1], gravity))
        t = simulator.rollout(model.state(), control[:, w : w + 1], {"body_mass": m, "shape_friction": f, "gravity": g})
        gm, gf, gg = torch.autograd.grad(final_loss(t).sum(), [m, f, g])
        assert torch.equal(gm[0], together[0][w])
        assert torch.equal(gf[0], together[1][w])
        total += gg
    # the row that all worlds share gets the sum, up to the order of five additions
    torch.testing.assert_close(total, together[2], rtol=1e-14, atol=1e-18)


def test_gradients_do_not_depend_on_segments_and_threads():
    """Same controls, cut into graphs of 1, 7 and 32 steps and spread over 1 and 2 threads."""
    results = []
    for options in ({"segment": 32, "threads": 1}, {"segment": 7, "threads": 2}, {"segment": 1, "threads": 3}):
        model, control, mass, friction = many_worlds()
        leaves = [x.clone().requires_grad_() for x in (control, mass, friction)]
        t = Simulator(model, **options).rollout(
            model.state(5), leaves[0], {"body_mass": leaves[1], "shape_friction": leaves[2]}
        )
        results.append(torch.autograd.grad((final_loss(t) + path_loss(t)).sum(), leaves))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            # a cut changes the order in which the adjoints of the path are added up, no more
            assert (a - b).abs().max() <= 1e-13 * a.abs().max()


def test_backward_twice_gives_the_same():
    p = CASES["push"]()
    leaves = {k: v.clone().requires_grad_() for k, v in p.inputs.items()}
    value = p.evaluate(leaves).sum()
    first = torch.autograd.grad(value, list(leaves.values()), retain_graph=True)
    # other work on the same simulator must leave no trace in the graph that is kept
    p.evaluate({k: v + 0.01 if k == "control" else v for k, v in p.inputs.items()})
    second = torch.autograd.grad(value, list(leaves.values()))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(first[2], p.gradient()["control"])


def test_leaves_accumulate_once_per_backward():
    p = CASES["sliding"]()
    leaf = p.inputs["body_v"].clone().requires_grad_()
    value = p.evaluate({**p.inputs, "body_v": leaf}).sum()
    value.backward(retain_graph=True)
    once = leaf.grad.clone()
    value.backward()
    assert torch.equal(leaf.grad, 2.0 * once)


def test_inputs_changed_after_the_rollout_are_noticed_by_torch():
    p = CASES["push"]()
    control = p.inputs["control"].clone().requires_grad_()
    value = p.evaluate({**p.inputs, "control": control}).sum()
    with torch.no_grad():
        control.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_steps_chained_by_torch_equal_a_rollout():
    """A closed loop calls ``step`` again and again: same states, same gradient."""
    p = CASES["push"]()
    control = p.inputs["control"][:20].clone().requires_grad_()
    model = p.simulator.model
    state = model.state()
    for c in control:
        state = p.simulator.step(state, c)
    whole = p.simulator.rollout(model.state(), control, record=False).final
    assert torch.equal(state.body_q, whole.body_q)
    seed = weights(state.body_q.shape, 3)
    a, b = (torch.autograd.grad((s.body_q * seed).sum(), control)[0] for s in (state, whole))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-16)


def test_no_gradient_without_contact(device):
    """A pusher that stays 3 cm away: the box's pose does not depend on it at all."""
    model = push(start=-0.10).finalize(dtype="float64", device=device)
    control = push_targets(100, start=-0.10, distance=0.02).to(device).requires_grad_()
    t = Simulator(model).rollout(model.state(), control)
    (g,) = torch.autograd.grad(t.final.body_q[:, 0].sum() + t.final.body_v[:, 0].sum(), control)
    assert not g.any()
    (g,) = torch.autograd.grad(Simulator(model).rollout(model.state(), control).final.body_q[:, 1].sum(), control)
    assert g.any()  # the pusher's own pose does


def test_derived_stiffness_has_no_gradient():
    """Where stiffness and damping are derived, the stored -1 is a flag, not a number to differentiate by."""
    p = CASES["push"]()
    p.inputs |= {n: getattr(p.simulator.model, n).clone() for n in ("shape_stiffness", "shape_damping")}
    g = p.gradient()
    assert not g["shape_stiffness"].any()
    assert not g["shape_damping"].any()


def test_gradcheck():
    """torch's own checker on a short push with several inputs at once."""
    model = push().finalize(dtype="float64")
    simulator = Simulator(model, tolerance=1e-13)
    start = model.state()

    def run(control, v, mass, friction):
        t = simulator.rollout(State(start.body_q, v), control, {"body_mass": mass, "shape_friction": friction})
        return t.final.body_q, t.final.body_v, t.body_q[1:]

    inputs = [
        push_targets(4, distance=0.01),
        start.body_v + 0.01,
        model.body_mass.clone(),
        model.shape_friction.clone(),
    ]
    assert torch.autograd.gradcheck(run, [x.requires_grad_() for x in inputs], eps=1e-6, atol=1e-7, rtol=1e-5)


def test_stopping_distance():
    """d(v0^2/(2 mu g))/dv0 = v0/(mu g); the step's first-order error is a half step of travel: h/2."""
    g, mu, v0 = 9.81, 0.5, 1.0
    for h in (0.004, 0.001):
        model = box_on_ground(friction=mu).finalize(dtype="float64")
        v = model.state().body_v
        v[..., 0] = v0
        v.requires_grad_()
        steps = round(1.2 * v0 / (mu * g) / h)
        t = Simulator(model, step=h).rollout(State(model.state().body_q, v), steps=steps, record=False)
        (slope,) = torch.autograd.grad(t.final.body_q[0, 0, 0], v)
        # the box stops within a step, in which the regularized law eases off over stiction/(mu g) seconds of creep
        assert abs(float(slope[0, 0, 0]) - v0 / (mu * g)) < h + 1e-3 / (mu * g)


def test_slip_to_roll():
    """A ball that slides without spin ends at 5/7 v0: its derivative is 5/7, and 2/7 r with respect to the spin."""
    radius = 0.1
    model = sphere_on_ground(radius, friction=0.3).finalize(dtype="float64")
    v = model.state().body_v
    v[..., 0] = 1.0
    v.requires_grad_()
    t = Simulator(model, step=0.002).rollout(State(model.state().body_q, v), steps=400, record=False)
    (slope,) = torch.autograd.grad(t.final.body_v[0, 0, 0], v)
    # exact but for the viscous creep: the ball rolls with a slip that decays as exp(-7/2 mu g t/stiction), and friction
    # acts at the penetrated height, g (h/pi)^2 = 4e-6 m above the ball's lowest point: 4e-5 of the radius
    assert abs(float(slope[0, 0, 0]) - 5 / 7) < 1e-4
    assert abs(float(slope[0, 0, 4]) - 2 / 7 * radius) < 1e-4 * radius


def test_float32_gradient_is_near_the_float64_one():
    grads = []
    for dtype in ("float32", "float64"):
        model = push(half=(0.05, 0.06, 0.04)).finalize(dtype=dtype)
        control = push_targets(100, distance=0.1).to(model.dtype).requires_grad_()
        t = Simulator(model).rollout(model.state(), control, record=False)
        seed = weights(t.final.body_q.shape, 4).to(model.dtype)
        grads.append(torch.autograd.grad((t.final.body_q * seed).sum(), control)[0].double())
    error = (grads[0] - grads[1]).norm() / grads[1].norm()
    # each step is solved to 1e-4 of its momentum change in float32, and the gradient is that of the states it found
    assert error < 5e-3

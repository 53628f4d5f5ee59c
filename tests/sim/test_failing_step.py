"""Which steps did not converge, and what the error says: against the same rollout taken a step at a time.

A step may take several solves: five for a round of impacts, and one more where contacts were overlooked.
"""

import re

import pytest
import torch
from scenes import about

from carom.kernels.restitution import impact_settle
from carom.sim import PARAMETERS, ConvergenceError, ModelBuilder, Simulator, Softplus, State
from carom.sim.stepping import checks

STEPS = 60


def one_box(restitution=0.0, resistance=0.0):
    b = ModelBuilder()
    b.add_ground(restitution=restitution, rolling_resistance=resistance)
    box = b.add_body(position=(0, 0, 0.3), rotation=about((0.4, 0.12, 0.08), 0.45))
    b.add_box(box, (0.05, 0.05, 0.05), restitution=restitution, rolling_resistance=resistance)
    return b.finalize(dtype="float64")


def two_boxes(restitution=0.0, resistance=0.0):
    """More than 8 free axes."""
    b = ModelBuilder()
    b.add_ground(restitution=restitution, rolling_resistance=resistance)
    for i in range(2):
        box = b.add_body(
            position=(0.02 * i, 0, 0.2 + 0.25 * i), rotation=about((0.4, 0.12 + i, 0.08), 0.45 + i),
            velocity=(0.3, 0.2, 0.0),
        )  # fmt: skip
        b.add_box(box, (0.05, 0.05, 0.05), restitution=restitution, rolling_resistance=resistance)
    return b.finalize(dtype="float64")


def start(model):
    """Three worlds that meet the ground at different times; the second never does."""
    state = model.state(3)
    q, v = state.body_q.clone(), state.body_v.clone()
    q[0, :, 2] += 0.05
    q[1, :, 2] += 9.0
    v[2, :, 0] += 1.0
    if model.bodies > 1:
        q[1, 1, 2] += 9.0
    return State(q, v)


CASES = [
    (scene, law, options)
    for scene in (one_box, two_boxes)
    for law, options in [
        ({}, {}),
        ({"restitution": 0.5}, {}),
        ({"restitution": 0.5}, {"segment": 7}),
        ({"resistance": 1e-3}, {}),
        ({"restitution": 0.5, "resistance": 1e-3}, {"segment": 7}),
        ({}, {"softening": Softplus(1e-3), "segment": 7}),
    ]
]


@pytest.mark.parametrize(("scene", "law", "options"), CASES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_failing_steps_are_those_of_single_steps(scene, law, options, monkeypatch):
    """The first of them, and how many there are; ``max_iterations=1`` lets steps fail.

    Solves of impacts start as they come, or they would take no iteration.
    """
    monkeypatch.setattr(impact_settle, "settle", lambda *_, **__: None)
    model = scene(**law)
    simulator = Simulator(model, max_iterations=1, threads=1, **options)
    state = start(model)
    results = checks.rollout_result
    monkeypatch.setattr(checks, "rollout_result", lambda *_: None)  # failed steps and all
    whole = simulator.rollout(state, steps=STEPS).diagnostics
    now, failed, iterations = state, [], 0
    for _ in range(STEPS):
        one = simulator.rollout(now, steps=1)
        now = one.final
        failed.append(one.diagnostics.failed_steps)
        iterations = iterations + one.diagnostics.iterations
    table = torch.stack(failed)  # [T, W]
    assert int(table.max()) == 1
    assert torch.equal(whole.failed_steps, table.sum(0))
    assert torch.equal(whole.iterations, iterations)
    first = [int(torch.nonzero(column)[0]) if column.any() else -1 for column in table.T]
    assert whole.first_failure.tolist() == first
    assert first[0] > 0
    assert first[2] > 0
    assert first[0] != first[2]
    assert first[1] == -1

    monkeypatch.setattr(checks, "rollout_result", results)
    for world in (0, 2):  # the error names the first world that fails, and its first step
        alone = State(state.body_q[1:].clone(), state.body_v[1:].clone()) if world == 2 else state
        with pytest.raises(ConvergenceError) as caught:
            simulator.rollout(alone, steps=STEPS)
        said = re.search(r"first in world (\d) at step (\d+) ", str(caught.value)).groups()
        assert said == (str(world - 1 if world == 2 else 0), str(first[world]))


def tumbling(seed):
    gen = torch.Generator().manual_seed(seed)

    def some(count):
        return torch.rand(count, generator=gen, dtype=torch.float64)

    b = ModelBuilder()
    b.add_ground(friction=0.5, restitution=0.3)
    for i in range(3):
        box = b.add_body(
            position=(0.03 * i, 0, 0.06 + 0.11 * i), rotation=about((some(3) - 0.5).tolist(), float(0.2 * some(1))),
            velocity=(4 * (some(3) - 0.5)).tolist(), angular_velocity=(10 * (some(3) - 0.5)).tolist(),
        )  # fmt: skip
        b.add_box(box, (0.05, 0.05, 0.05), friction=0.5, restitution=0.3)
    return b.finalize(dtype="float64")


def test_a_solve_that_fails_when_the_backward_pass_takes_it_again_is_told(monkeypatch):
    """It takes the impacts of a step again, the last step first, by a law with resistance if asked for."""
    model, steps = tumbling(31), 40
    simulator = Simulator(model, threads=1, segment=7, max_iterations=7, allow_overlap=True)
    rolling = model.shape_rolling_resistance.clone().requires_grad_()
    path = simulator.rollout(model.state(), None, {"shape_rolling_resistance": rolling}, steps=steps)

    given = {name: getattr(model, name) for name in (*PARAMETERS, "shape_size")}
    control = torch.zeros(steps, 1, 0, dtype=torch.float64)
    start = model.state()
    *_, impacts = simulator.run_forward(start.body_q, start.body_v, control, given, True)
    resisting = given | {"shape_rolling_resistance": torch.full_like(model.shape_rolling_resistance, 1e-15)}
    with monkeypatch.context() as patch:
        patch.setattr(checks, "rollout_result", lambda *_: None)
        failing = [
            t
            for t in torch.nonzero(impacts.flatten()).flatten().tolist()
            if simulator.run_forward(
                path.body_q[t].detach(), path.body_v[t].detach(), control[:1], resisting, True
            )[4].failed_steps[0]
        ]  # fmt: skip
    assert failing
    with pytest.raises(ConvergenceError, match=rf"in the backward pass of world 0 at step {failing[-1]} "):
        path.final.body_q.sum().backward()

"""Rollouts and exact gradients with worlds side by side against one by one, over random scenes of small worlds."""

import dataclasses
import warnings

import pytest
import torch
from random_scenes import Scene, draw

from carom.kernels.bodies import integrate_lanes
from carom.kernels.collision import detect_lanes
from carom.kernels.contact import rows_lanes, slip_adjoint_lanes, slip_weights_lanes
from carom.kernels.solver import body_adjoint_lanes, contact_adjoint_lanes, dense_lanes
from carom.sim import SimulationWarning, Simulator, State

STEPS = 5
MODULES = (
    dense_lanes, contact_adjoint_lanes, body_adjoint_lanes, integrate_lanes, rows_lanes, slip_weights_lanes,
    slip_adjoint_lanes, detect_lanes,
)  # fmt: skip
"""Those that say whether worlds go side by side."""
ROUNDING = 2e-15
"""How far starts are moved, in parts of themselves, to see how gradients depend on rounding."""


def outcome(scene: Scene, steps: int) -> dict[str, torch.Tensor]:
    """The final state, and the gradient of one number of it by all inputs."""
    simulator = Simulator(scene.simulator.model, **scene.options)
    inputs = {"body_q": scene.state.body_q, "body_v": scene.state.body_v, **scene.parameters}
    if scene.control is not None:
        inputs["control"] = scene.control[:steps]
    inputs = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    parameters = {name: inputs[name] for name in scene.parameters}
    state = State(inputs["body_q"], inputs["body_v"])
    final = simulator.rollout(state, inputs.get("control"), parameters, steps=steps, record=False).final
    generator = torch.Generator().manual_seed(1)
    total = sum(
        (x * torch.randn(x.shape, generator=generator, dtype=x.dtype)).sum() for x in (final.body_q, final.body_v)
    )
    total.backward()
    gradients = {f"gradient by {name}": x.grad for name, x in inputs.items() if x.grad is not None}
    return {"poses": final.body_q.detach(), "velocities": final.body_v.detach()} | gradients


@pytest.mark.parametrize(
    ("family", "seed"),
    [("one body", 1), ("plane pair", 1), ("pushed", 2)]
    + [
        pytest.param(family, seed, marks=pytest.mark.slow)
        for family in ("one body", "plane pair", "pushed")
        for seed in (3, 4, 6, 7, 8, 9, 11, 12)
    ],
)
def test_side_by_side_as_one_by_one(family: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured in 30 scenes: states to 4e-14 of the largest, gradients mostly to 1e-12.

    Where they differ more, a start that is moved by ten units of rounding changes them too, by a fiftieth at least (a
    step rounds many times): the derivative takes a linear solve, and further solves take differences. A gradient that
    is zero but for rounding has no digits at all.
    """
    with warnings.catch_warnings(), monkeypatch.context() as patch:
        warnings.simplefilter("ignore", SimulationWarning)
        for module in MODULES:
            patch.setattr(module, "serves", lambda *_: False)
        scene = draw(family, seed)
        steps = min(scene.steps, STEPS)
        expected = outcome(scene, steps)
        moved = State(scene.state.body_q * (1.0 + ROUNDING), scene.state.body_v * (1.0 - ROUNDING))
        beside = outcome(dataclasses.replace(scene, state=moved), steps)
        patch.undo()
        found = outcome(scene, steps)
    assert float(expected["velocities"].abs().max()) > 0.01
    assert expected.keys() == found.keys()
    for name, x in expected.items():
        allowed = 1e-12 * float(x.abs().max())
        if name.startswith("gradient"):
            allowed += 100.0 * float((x - beside[name]).abs().max())
        assert float((x - found[name]).abs().max()) <= allowed, f"{scene}: {name}"

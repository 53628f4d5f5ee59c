"""Rollouts and their gradients by the dense and by the island solver: a pushed box and its pusher, eight free axes.

All that a step can have, as far as it solves: actuators and locked axes, further solves where slip changes, impacts,
resistance, softened contact forward and backward, quasi-dynamic steps.
"""

import dataclasses
from typing import Any

import pytest
import torch
from scenes import push, push_targets

from carom.kernels.solver.dense_algebra import SMALL
from carom.sim import PARAMETERS, LogBarrier, ModelBuilder, Simulator, Softplus
from carom.sim.stepping import world_batch

STEPS = 12


def bouncing() -> ModelBuilder:
    """Two bodies that meet, land and bounce: a box, and a ball that moves in a plane."""
    b = ModelBuilder()
    b.add_ground(friction=0.4, restitution=0.5)
    box = b.add_body(position=(0, 0, 0.0502), velocity=(0.3, 0, -0.4), angular_velocity=(0, 1.0, 2.0), mass=1.0)
    b.add_box(box, (0.05, 0.04, 0.05), friction=0.5, restitution=0.4)
    ball = b.add_body(position=(0.075, 0, 0.06), velocity=(-0.5, 0, 0), mass=0.5, locked=("y", "angular"))
    b.add_sphere(ball, 0.02, friction=0.3, restitution=0.6)
    return b


def rough() -> ModelBuilder:
    """A box that spins and a pusher that rolls along it, with resistance."""
    b = ModelBuilder()
    b.add_ground(friction=0.4, rolling_resistance=1e-3, torsional_resistance=2e-3)
    box = b.add_body(position=(0, 0, 0.05), velocity=(0.2, 0, 0), angular_velocity=(0, 0, 1.0), mass=1.0)
    b.add_box(box, (0.05, 0.05, 0.05), friction=0.5, torsional_resistance=2e-3)
    tip = b.add_body(position=(-0.0699, 0.02, 0.05), velocity=(0.3, 0.1, 0), mass=1.0, locked=("y", "z", "rx", "ry"))
    b.add_sphere(tip, 0.02, friction=0.5, rolling_resistance=1e-3)
    b.add_actuator(tip, "x", stiffness=500.0, damping=20.0)
    return b


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (push, {}),
    "slip that changes": (push, {"resolve_slip": True, "even_faces": True}),
    "quasi-dynamic": (push, {"quasi_dynamic": True}),
    "softened": (push, {"softening": LogBarrier(1e-4)}),
    "softened backward": (push, {"softening": Softplus(1e-3, forward=False)}),
    "restitution": (bouncing, {}),
    "resistance": (rough, {}),
}


SINGLE = ["plain", "restitution", "resistance"]
"""Those that are compared in float32 too."""

TOLERANCE = {"float64": (1e-11, 1e-10), "float32": (1e-3, 5e-2)}
"""Of states and of gradients, in parts of the largest of their kind.

Measured: 4e-13 and 2e-11 in float64. In float32, where steps are solved to 1e-4, 1e-4 and 9e-3; where bodies bounce,
2.5e-2 of the gradient by torsional resistance, which they do not have.
"""


def outcome(builder: ModelBuilder, dtype: str, **options: Any) -> dict[str, torch.Tensor]:
    """Final state and the gradient of a sum of it by everything, of one rollout of two worlds."""
    model = builder.finalize(dtype=dtype)
    simulator = Simulator(model, **options)
    real = torch.float64 if dtype == "float64" else torch.float32
    start = model.state(2)
    speed = start.body_v.clone()
    speed[1] *= 1.5
    state = dataclasses.replace(start, body_q=start.body_q.requires_grad_(), body_v=speed.requires_grad_())
    control = None
    if model.actuators:
        x = push_targets(STEPS, distance=0.02, worlds=2).to(real)[..., : model.actuators]
        control = x.contiguous().requires_grad_()
    named = {name: getattr(model, name).clone().requires_grad_() for name in PARAMETERS if getattr(model, name).numel()}
    result = simulator.rollout(state, control, named, steps=STEPS)
    q, v = result.final.body_q, result.final.body_v
    weights = [torch.randn(x.shape, generator=torch.Generator().manual_seed(i)).to(real) for i, x in enumerate((q, v))]
    ((q * weights[0]).sum() + 0.1 * (v * weights[1]).sum()).backward()
    gradients = {"body_q": state.body_q.grad, "body_v": state.body_v.grad} | {n: x.grad for n, x in named.items()}
    if control is not None:
        gradients["control"] = control.grad
    return {"final q": q.detach(), "final v": v.detach()} | {n: g for n, g in gradients.items() if g is not None}


@pytest.mark.filterwarnings("ignore::carom.sim.SimulationWarning")
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, "float64") for name in CASES] + [(name, "float32") for name in SINGLE]
)
def test_a_rollout_does_not_depend_on_the_solver(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, options = CASES[name]
    dense = outcome(make(), dtype, **options)
    plain = world_batch.model_arrays
    made = []

    def of_many_axes(*args: Any) -> Any:
        made.append(dataclasses.replace(plain(*args), dofs=SMALL + 1))
        return made[-1]

    monkeypatch.setattr(world_batch, "model_arrays", of_many_axes)
    islands = outcome(make(), dtype, **options)
    assert made
    assert dense.keys() == islands.keys()
    for key, value in dense.items():
        error = float((value - islands[key]).abs().max()) / (float(value.abs().max()) + 1e-30)
        assert error <= TOLERANCE[dtype][0 if key.startswith("final") else 1], f"{key}: {error:.1e}"
    assert float(dense["body_q"].abs().max()) > 0.1

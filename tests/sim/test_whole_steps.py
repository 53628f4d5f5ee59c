"""A world alone, whose recorded steps are one kernel, against the same steps launched kernel by kernel: the same bits.

With slip that changes, contacts that the first detection missed, and quasi-dynamic steps.
"""

from __future__ import annotations

import pytest
import torch

from carom.sim import STATIC, ModelBuilder, Simulator, State
from carom.sim.scene.model import PARAMETERS
from carom.sim.stepping import launch_graphs
from carom.sim.stepping.plain_steps import PlainSteps

STEPS = 40


def thrown_box(dtype: str) -> tuple[Simulator, State, torch.Tensor | None]:
    """A box that lands tilted while it slides and turns: slip stops and starts abruptly."""
    builder = ModelBuilder()
    builder.add_ground(friction=0.6)
    box = builder.add_body(position=(0.0, 0.0, 0.07), velocity=(1.5, 0.4, -1.0), angular_velocity=(1.0, 3.0, 2.0))
    builder.add_box(box, half_extents=(0.05, 0.04, 0.03), density=800.0, friction=0.5)
    model = builder.finalize(dtype=dtype)
    return Simulator(model), model.state(), None


def struck_ball(dtype: str, quasi_dynamic: bool = False) -> tuple[Simulator, State, torch.Tensor]:
    """A pusher whose target jumps, a ball in its way and a wall behind: contacts met by speeds not yet there."""
    builder = ModelBuilder()
    builder.add_ground(friction=0.4)
    ball = builder.add_body(position=(0.0, 0.0, 0.05), name="ball")
    builder.add_sphere(ball, radius=0.05, density=500.0, friction=0.4)
    pusher = builder.add_body(position=(-0.081, 0.0, 0.05), locked=("z", "rx", "ry", "rz"), name="pusher")
    builder.add_sphere(pusher, radius=0.03, density=3000.0, friction=0.3)
    builder.add_box(STATIC, half_extents=(0.05, 0.2, 0.2), position=(0.11, 0.0, 0.2), friction=0.3)
    for axis in ("x", "y"):
        builder.add_actuator(pusher, axis, stiffness=4e3, damping=60.0)
    model = builder.finalize(dtype=dtype)
    control = torch.zeros((STEPS, 1, 2), dtype=model.dtype)
    control[:, 0, 0] = -0.081
    control[3:, 0, 0] = 0.05
    return Simulator(model, quasi_dynamic=quasi_dynamic), model.state(), control


SCENES = {
    "slip": thrown_box,
    "missed": struck_ball,
    "quasi-dynamic": lambda dtype: struck_ball(dtype, quasi_dynamic=True),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SCENES)
def test_bits_of_single_launches(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator, state, control = SCENES[name](dtype)
    again, whole = [0], [0]
    detect_again, whole_step = PlainSteps._detect_again, PlainSteps._whole_step

    def count_again(self: PlainSteps, *args: object, **options: object) -> None:
        again[0] += not self.batch.loads_kernels
        detect_again(self, *args, **options)

    def count_whole(self: PlainSteps, t: int) -> None:
        whole[0] += 1
        whole_step(self, t)

    monkeypatch.setattr(PlainSteps, "_detect_again", count_again)
    monkeypatch.setattr(PlainSteps, "_whole_step", count_whole)

    def run() -> list[torch.Tensor]:
        path_q, path_v, _, _, diagnostics, staged = simulator.run_forward(
            state.body_q, state.body_v, control if control is not None else state.body_q.new_zeros((STEPS, 1, 0)),
            {name: getattr(simulator.model, name) for name in (*PARAMETERS, "shape_size")}, True,
        )  # fmt: skip
        return [path_q, path_v, staged, diagnostics.iterations, diagnostics.residual, diagnostics.contacts]

    first = run()
    missed = again[0]
    assert not whole[0]
    monkeypatch.setattr(launch_graphs, "STEPS_BEFORE_RECORDING", 0)
    for _ in range(2):
        last = run()
    assert whole[0] == STEPS
    assert all(torch.equal(a, b) for a, b in zip(first, last, strict=True))
    if name == "slip":
        assert first[2].any()
    if name == "missed":
        assert missed

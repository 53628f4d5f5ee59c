"""The same motion at every size, from a sixteenth of a millimetre to 1 km: lengths as L, times as sqrt(L), one density.

Sizes are powers of four, so that every number of the model is scaled by a power of two: the motion is then the same to
the bit, in both precisions, unless something compares with a number that has units or leaves the precision's range. The
options in metres and seconds are scaled with it; they are documented as absolute.
"""

import numpy as np
import pytest
import torch
from scenes import about

from carom.sim import ModelBuilder, Simulator, State

SIZES = [4.0**k for k in (-7, -6, -5, -3, 2, 4, 5)]


def brick(b, size, position, spin, axis=(1, 2, 3), half=(0.2, 0.25, 0.32), **shape):
    body = b.add_body(
        position=tuple(size * np.array(position)), rotation=about(axis, 0.7),
        velocity=(0.5 * size**0.5, 0.0, -0.2 * size**0.5), angular_velocity=tuple(np.array(spin) / size**0.5),
    )  # fmt: skip
    b.add_box(body, tuple(size * np.array(half)), **shape)
    return body


def tumbling(size):
    b = ModelBuilder(gravity=(0, 0, 0))
    brick(b, size, (0, 0, 0), (5.0, 0.3, 0.1))
    return b, 0.0


def landing(size):
    b = ModelBuilder()
    b.add_ground(friction=0.6)
    brick(b, size, (0, 0, 0.5), (5.0, 0.3, 0.1), friction=0.6)
    return b, 0.0


def driven(size):
    b = ModelBuilder()
    b.add_ground(friction=0.3)
    body = brick(b, size, (0, 0, 0.5), (1.0, 0.3, 4.0))
    b.add_actuator(body, "rz", "force")
    return b, 200.0 * size**4


def heap(size):
    b = ModelBuilder()
    b.add_ground(friction=0.6)
    brick(b, size, (0, 0, 0.46), (1.0, 0.3, 0.1))
    brick(b, size, (0.1, 0.1, 1.35), (2.0, 0.3, 0.1), axis=(1, 0, 1))
    body = b.add_body(position=(0.0, -0.1 * size, 2.0 * size), rotation=about((1, 1, 0), 0.3))
    b.add_capsule(body, 0.1 * size, 0.2 * size, rolling_resistance=0.01 * size)
    return b, 0.0


SCENES = {"tumbling": tumbling, "landing": landing, "driven": driven, "heap": heap}


def simulated(scene, size, dtype):
    """Simulator, state and torque of a scene, with all options scaled."""
    b, torque = SCENES[scene](size)
    second = size**0.5
    simulator = Simulator(
        b.finalize(dtype=dtype), step=2.0**-7 * second, contact_margin=2.0**-10 * size, stiction=2.0**-10 * second,
        angular_stiction=2.0**-6 / second, threads=1,
    )  # fmt: skip
    return simulator, simulator.model.state(), torque


def command(model, torque, steps):
    return torch.full((steps, 1, model.actuators), torque, dtype=model.dtype)


def motion(scene, size, dtype, steps=60):
    simulator, state, torque = simulated(scene, size, dtype)
    second = size**0.5
    t = simulator.rollout(state, command(simulator.model, torque, steps))
    q, v = t.body_q.double(), t.body_v.double()
    return torch.cat([q[..., :3] / size, q[..., 3:], v[..., :3] / second, v[..., 3:] * second], dim=-1)


def gradient(scene, size, dtype, steps=40):
    """Gradient of a sum over the last pose by the first pose and velocity, in units of the scene."""
    simulator, state, torque = simulated(scene, size, dtype)
    second = size**0.5
    q, v = state.body_q.requires_grad_(), state.body_v.requires_grad_()
    last = simulator.rollout(State(q, v), command(simulator.model, torque, steps)).body_q[-1]
    weight = torch.tensor([1.0, 2.0, -1.0, 0.5, 0.3, 0.2, 0.1], dtype=last.dtype)
    loss = (last * weight)[..., :3].sum() / size + (last * weight)[..., 3:].sum()
    by_q, by_v = (x.double() for x in torch.autograd.grad(loss, [q, v]))
    parts = by_q[..., :3] * size, by_q[..., 3:], by_v[..., :3] * second, by_v[..., 3:] / second
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scene", SCENES)
def test_motion_is_the_same_at_every_size(scene, dtype):
    wanted = motion(scene, 1.0, dtype)
    assert (wanted[-1] - wanted[0]).abs().max() > 0.5  # something happens
    # which contacts of a large world are looked at first does depend on a speed (``islands.WAKING_SPEED``); the
    # solution does not, up to the solver's tolerance
    allowed = {"float32": 3e-3, "float64": 1e-10}[dtype] if scene == "heap" else 0.0
    for size in SIZES:
        gap = float((motion(scene, size, dtype) - wanted).abs().max())
        assert gap <= allowed, (size, gap)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scene", ["landing", "driven"])
def test_gradient_is_the_same_at_every_size(scene, dtype):
    wanted = gradient(scene, 1.0, dtype)
    for size in (SIZES[0], SIZES[-1]):
        assert torch.equal(gradient(scene, size, dtype), wanted), size


def test_single_precision_tumbles_as_double():
    """One step is not another: against the other precision, at the ends."""
    for size in (SIZES[0], 1.0, SIZES[-1]):
        gap = (motion("tumbling", size, "float32") - motion("tumbling", size, "float64")).abs().max()
        assert gap < 2e-5

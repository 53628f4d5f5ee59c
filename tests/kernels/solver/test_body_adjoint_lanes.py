"""The bodies' and actuators' adjoint side by side against Warp's of the same power."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import warp as wp

from carom.kernels.core.adjoint_arrays import Adjoints
from carom.kernels.core.precision import precision
from carom.kernels.solver import adjoint, body_adjoint_lanes
from carom.sim import ModelBuilder
from carom.sim.stepping.device_model import model_arrays

H = 0.005
OUT = (
    "body_q", "body_v0", "control", "gravity", "body_mass", "body_inertia", "actuator_stiffness", "actuator_damping",
)  # fmt: skip
DRIVES = (
    (0, "x", "position"), (0, "ry", "position"), (0, "rz", "velocity"), (0, "rx", "force"), (0, "z", "velocity"),
    (1, "x", "position"), (1, "y", "force"),
)  # fmt: skip


def model(worlds: int, dtype: Any) -> Any:
    """A free body, one with two free axes and one that stands, and actuators of all kinds."""
    builder = ModelBuilder()
    for locked in ((), ("z", "angular"), "all"):
        builder.add_box(builder.add_body(locked=locked), (0.1, 0.2, 0.3))
    for body, axis, kind in DRIVES:
        gains = {"position": (3.0, 2.0), "velocity": (0.0, 2.0), "force": (0.0, 0.0)}[kind]
        builder.add_actuator(body, axis, kind, stiffness=gains[0], damping=gains[1])
    return model_arrays(builder.finalize(dtype="float64" if dtype is wp.float64 else "float32"), worlds)


def random_power(worlds: int, seed: int, dtype: Any) -> dict[str, Any]:
    """Numbers of everything that the power depends on, [W, ...]."""
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(worlds, 3, 7))
    q[::3, :, 3:6] *= 1e-8  # hardly turned at all
    z = rng.normal(size=(worlds, 3, 6)) * (rng.random((worlds, 3, 1)) < 0.8)
    return {
        "body_mass": rng.uniform(0.2, 2.0, (worlds, 3)), "body_inertia": rng.normal(size=(worlds, 3, 3, 3)),
        "gravity": rng.normal(size=(worlds, 3)), "actuator_stiffness": rng.normal(size=(worlds, len(DRIVES))),
        "actuator_damping": rng.normal(size=(worlds, len(DRIVES))), "control": rng.normal(size=(worlds, len(DRIVES))),
        "q": q, "z": z, "v0": rng.normal(size=(worlds, 3, 6)), "v1": rng.normal(size=(worlds, 3, 6)),
    }  # fmt: skip


def derivatives(x: dict[str, Any], dtype: Any) -> dict[str, Any]:
    p, worlds = precision(dtype), len(x["q"])
    arrays = model(worlds, dtype)
    for name in ("body_mass", "body_inertia", "gravity", "actuator_stiffness", "actuator_damping"):
        getattr(arrays, name).assign(x[name])
    v0, v1, z = (wp.array(x[name], dtype=p.spatial, device="cpu") for name in ("v0", "v1", "z"))
    q, control = wp.array(x["q"], dtype=p.transform, device="cpu"), wp.array(x["control"], dtype=dtype, device="cpu")
    g = dataclasses.replace(Adjoints.allocate(arrays, 4, dtype), z=z)
    adjoint.body_adjoint(dtype, arrays, q, v0, v1, control, g, h=H)
    return {name: getattr(g, name).numpy().astype(float) for name in OUT}


@pytest.mark.parametrize("worlds", [13, 1])
def test_as_generated(worlds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured: 5e-16 of the largest derivative of each kind."""
    for seed in range(3):
        x = random_power(worlds, seed, wp.float64)
        with monkeypatch.context() as patch:
            patch.setattr(body_adjoint_lanes, "serves", lambda *_: False)
            expected = derivatives(x, wp.float64)
        for name, y in derivatives(x, wp.float64).items():
            assert np.count_nonzero(expected[name])
            assert np.abs(y - expected[name]).max() <= 1e-13 * np.abs(expected[name]).max(), name


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: Any) -> None:
    x = random_power(11, 5, dtype)
    together = derivatives(x, dtype)
    for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
        for name, y in derivatives({key: value[pick] for key, value in x.items()}, dtype).items():
            np.testing.assert_array_equal(y, together[name][pick], err_msg=name)

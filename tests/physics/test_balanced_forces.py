"""Bodies that are pressed against something without gravity: large forces balance, and the momentum does not change.

The solver's tolerance is relative to the change of momentum. It tends to zero there, far below the rounding of the
forces, which then decides when a solve is done.
"""

import pytest
import torch

from carom.sim import ModelBuilder, Simulator

FRICTION, STICTION, STEP, MASS = 0.5, 1e-3, 0.005, 8.0
DRIVES = {  # gains and targets along the ground and into it
    "force": ((0.0, 0.0), (3.0, -100.0)),
    "position": ((1e4, 1e3), (0.0127, 0.09)),
    "velocity": ((0.0, 1e3), (2e-3, -0.01)),
}
LAWS = {"hard": {}, "resisting": {"rolling_resistance": 1e-3}, "compliant": {"stiffness": 1e6, "damping": 1e3}}
SOFT = {"stiffness": 1e4, "damping": 100.0}


def pressed(dtype, drive, law, islands):
    """A box that is driven along the ground and into it; bodies far away make it a scene for the solver of islands."""
    b = ModelBuilder(gravity=(0, 0, 0))
    b.add_ground(friction=FRICTION, **law)
    box = b.add_body(position=(0.0123, 0, 0.1))
    b.add_box(box, (0.1, 0.1, 0.1), density=MASS / 0.008, friction=FRICTION, **law)
    stiffness, damping = DRIVES[drive][0]
    for axis in ("x", "z"):
        b.add_actuator(box, axis, drive, stiffness=stiffness, damping=damping)
    for i in range(2 * islands):
        b.add_sphere(b.add_body(position=(30 + i, 0, 30)), 0.05)
    return b.finalize(dtype=dtype)


def driving_force(drive, position, velocity):
    """Force of the actuators along x and z [N]."""
    (stiffness, damping), target = DRIVES[drive]
    along, target = (0, 2), torch.tensor(target, dtype=torch.float64)
    if drive == "force":
        return target
    if drive == "velocity":
        return damping * (target - velocity[[*along]])
    return stiffness * (target - position[[*along]]) - damping * velocity[[*along]]


def pressing(precision, drive, target, law, islands, steps):
    dtype, *tight = precision.split()
    model = pressed(dtype, drive, LAWS.get(law, SOFT), islands)
    simulator = Simulator(model, step=STEP, stiction=STICTION, **({"tolerance": 1e-13} if tight else {}))
    return simulator.rollout(model.state(), torch.tensor(target, dtype=model.dtype).expand(steps, 1, 2))


@pytest.mark.parametrize("islands", [0, 1], ids=["dense", "islands"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("drive", DRIVES)
def test_pressed_box_creeps_as_friction_says(drive, law, islands):
    t = pressing("float64", drive, DRIVES[drive][1], law, islands, 300)
    position, velocity = t.body_q[-2, 0, 0, :3].double(), t.final.body_v[0, 0, :3].double()
    along, into = driving_force(drive, position + STEP * velocity, velocity)  # forces are those at the end of a step
    speed = velocity[0] - position[2] * float(t.final.body_v[0, 0, 4])  # of the contacts
    friction = FRICTION * -into * speed / (speed**2 + STICTION**2).sqrt()
    change = (t.body_v[-1] - t.body_v[-2])[0, 0, :3].double().abs().max()
    assert MASS * change / STEP < 1e-3 * along  # forces balance
    assert float(friction) == pytest.approx(float(along), rel=2e-3)


@pytest.mark.parametrize("islands", [0, 1], ids=["dense", "islands"])
@pytest.mark.parametrize("law", [*LAWS, "soft"])
@pytest.mark.parametrize("precision", ["float32", "float64", "float64 tight"])
def test_solve_ends_where_nothing_moves(precision, law, islands):
    """The momentum's change sinks to 1e-20 of what the forces do in a step, and their rounding is all that is left."""
    t = pressing(precision, "velocity", (0.0, -0.01), law, islands, 600)
    assert t.final.body_v[0, 0].abs().max() < {"float32": 1e-6}.get(precision, 1e-8)
    assert t.diagnostics.iterations.max() <= 1200  # and soon

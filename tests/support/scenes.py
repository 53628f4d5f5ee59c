"""Small scenes that several tests share. Every one returns a ``ModelBuilder``; SI units throughout."""

import math

import torch

from carom.sim import ModelBuilder, Simulator

G = 9.81


def about(axis, angle):
    """Quaternion (x, y, z, w) of a turn by ``angle`` [rad] about ``axis``."""
    axis = torch.as_tensor(axis, dtype=torch.float64)
    axis = axis / axis.norm() * math.sin(angle / 2)
    return (*axis.tolist(), math.cos(angle / 2))


def box_on_ground(half=(0.05, 0.05, 0.05), mass=1.0, friction=0.5, lift=0.0, rotation=(0, 0, 0, 1), **body):
    """A box whose lowest face stands ``lift`` above the ground (when not turned)."""
    b = ModelBuilder()
    b.add_ground(friction=friction)
    body.setdefault("position", (0.0, 0.0, half[2] + lift))
    box = b.add_body(mass=mass, rotation=rotation, name="box", **body)
    b.add_box(box, half, friction=friction)
    return b


def sphere_on_ground(radius=0.1, mass=1.0, friction=0.3, lift=0.0, **body):
    b = ModelBuilder()
    b.add_ground(friction=friction)
    body.setdefault("position", (0.0, 0.0, radius + lift))
    ball = b.add_body(mass=mass, name="ball", **body)
    b.add_sphere(ball, radius, friction=friction)
    return b


def push(
    offset=0.02, start=-0.07, friction=0.5, half=(0.05, 0.05, 0.05), stiffness=None, damping=None, gains=(1000.0, 100.0)
):
    """A box on a table and a round pusher on position actuators; the pusher touches the box when start is -0.07."""
    b = ModelBuilder()
    ground = b.add_ground(friction=friction, stiffness=stiffness, damping=damping)
    box = b.add_body(position=(0, 0, half[2]), mass=1.0, name="box")
    b.add_box(box, half, friction=friction, stiffness=stiffness, damping=damping)
    pusher = b.add_body(position=(start, offset, half[2]), mass=1.0, locked=("z", "angular"), name="pusher")
    tip = b.add_sphere(pusher, 0.02, friction=friction, stiffness=stiffness, damping=damping)
    b.exclude(ground, tip)
    for axis in ("x", "y"):
        b.add_actuator(pusher, axis, stiffness=gains[0], damping=gains[1])
    return b


def push_targets(steps, start=-0.07, offset=0.02, distance=0.2, worlds=1, dtype=torch.float64):
    """Targets that move the pusher of ``push`` by ``distance`` along x, [steps, worlds, 2]."""
    x = torch.linspace(1 / steps, 1, steps, dtype=dtype) * distance + start
    return torch.stack([x, torch.full_like(x, offset)], -1)[:, None, :].repeat(1, worlds, 1)


def free_body(half=(0.1, 0.05, 0.02), mass=1.2, gravity=(0.0, 0.0, 0.0), **body):
    """A box alone in space."""
    b = ModelBuilder(gravity=gravity)
    box = b.add_body(mass=mass, name="box", **body)
    b.add_box(box, half)
    return b


def run(
    builder,
    *,
    device="cpu",
    dtype="float64",
    steps=None,
    control=None,
    state=None,
    parameters=None,
    worlds=1,
    **options,
):
    """Trajectory of a scene from its initial state."""
    model = builder.finalize(device=device, dtype=dtype)
    simulator = Simulator(model, **options)
    return simulator.rollout(state or model.state(worlds), control, parameters, steps=steps)


def rotate(q, x):
    """Rotate vectors x [..., 3] by quaternions q [..., 4]."""
    v, w = q[..., :3], q[..., 3:]
    t = 2.0 * torch.linalg.cross(v, x)
    return x + w * t + torch.linalg.cross(v, t)


def unrotate(q, x):
    return rotate(torch.cat([-q[..., :3], q[..., 3:]], -1), x)


def multiply(p, q):
    """Product of quaternions (x, y, z, w)."""
    pv, pw, qv, qw = p[..., :3], p[..., 3:], q[..., :3], q[..., 3:]
    return torch.cat([pw * qv + qw * pv + torch.linalg.cross(pv, qv), pw * qw - (pv * qv).sum(-1, keepdim=True)], -1)


def spin_momentum(q, v, inertia):
    """Angular momentum about the centre of mass in world axes [..., 3]; ``inertia`` [3, 3] in the body's frame."""
    local = unrotate(q[..., 3:], v[..., 3:])
    return rotate(q[..., 3:], local @ inertia.to(local).T)


def kinetic_energy(q, v, mass, inertia):
    """Kinetic energy of all bodies of every state [..., bodies] -> [...]; mass [bodies], inertia [bodies, 3, 3]."""
    local = unrotate(q[..., 3:], v[..., 3:])
    turning = torch.einsum("...bi,bij,...bj->...b", local, inertia.to(local), local)
    return 0.5 * ((mass.to(local) * (v[..., :3] ** 2).sum(-1)) + turning).sum(-1)

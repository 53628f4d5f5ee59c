"""Random scenes of every shape, solver and law, drawn from a family's name and a seed, for the sweep over gradients.

A scene is a batch of worlds of one model. The worlds differ in pose, velocity, friction, restitution and gravity; the
model fixes shapes, statics, actuators, resistance and given stiffness. Some steps are taken first, so that many scenes
start in the midst of their contacts.
"""

import math
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import trimesh

from carom.sim import PARAMETERS, STATIC, ModelBuilder, SimulationWarning, Simulator, State

SHAPES = ("sphere", "box", "capsule", "cylinder", "hull", "mesh")
FAMILIES = ("one body", "plane pair", "pushed", "free pair", "heap", "pushed heap")
"""The first three have at most eight free axes and so the dense solver, the others that of the islands."""

WORLDS = 4
SEGMENT = 5
"""Steps of the graphs that are recorded: most of the time of a scene that is met once."""

RESISTANCE = ("shape_rolling_resistance", "shape_torsional_resistance")
STIFFNESS = ("shape_stiffness", "shape_damping")


@dataclass
class Scene:
    """W worlds of a model, from a state in the midst of their motion on."""

    family: str
    seed: int
    simulator: Simulator
    state: State
    control: torch.Tensor | None  # [T, W, A]
    parameters: dict[str, torch.Tensor]
    steps: int
    builder: ModelBuilder
    options: dict
    said: dict[str, object] = field(default_factory=dict)

    def __str__(self):
        return f"{self.family!r}, seed {self.seed}: " + ", ".join(f"{k} {v}" for k, v in self.said.items())


def quaternion(rng):
    q = rng.normal(size=4)
    return tuple(q / np.linalg.norm(q))


def about(axis, angle):
    axis = np.asarray(axis, dtype=float)
    return (*(axis / np.linalg.norm(axis) * math.sin(angle / 2)), math.cos(angle / 2))


def add_shape(builder, body, kind, size, rng, **options):
    """A shape about ``size`` [m] large in every direction."""
    if kind == "sphere":
        builder.add_sphere(body, size, **options)
    elif kind == "box":
        builder.add_box(body, size * rng.uniform(0.5, 1.0, 3), **options)
    elif kind == "capsule":
        builder.add_capsule(body, size * rng.uniform(0.3, 0.6), size * rng.uniform(0.4, 0.8), **options)
    elif kind == "cylinder":
        builder.add_cylinder(body, size * rng.uniform(0.5, 0.9), size * rng.uniform(0.3, 0.8), **options)
    elif kind == "hull":
        x = rng.normal(size=(14, 3))
        builder.add_convex(body, size * x / np.linalg.norm(x, axis=1, keepdims=True) * (1, 0.8, 0.7), **options)
    else:
        mesh = trimesh.creation.icosahedron()
        mesh.apply_scale(size * rng.uniform(0.6, 1.0, 3))
        builder.add_mesh(body, mesh, **options)


class Draw:
    """The draw of one scene."""

    def __init__(self, family, seed):
        self.family, self.seed = family, seed
        self.rng = np.random.default_rng([FAMILIES.index(family), seed])
        rng = self.rng
        self.resists, self.stiff = rng.random() < 0.3, rng.random() < 0.3
        self.bounces = rng.random() < 0.4
        self.step = float(rng.choice([0.002, 0.005, 0.005, 0.01]))
        self.steps = 1 if rng.random() < 0.4 else SEGMENT * int(rng.integers(10 // SEGMENT, 40 // SEGMENT + 1))
        self.law = {}
        if self.resists:
            self.law |= {"rolling_resistance": rng.uniform(2e-4, 2e-3), "torsional_resistance": rng.uniform(2e-4, 2e-3)}
        if self.bounces:
            self.law["restitution"] = 0.5
        if self.stiff:
            self.law |= {"stiffness": 10.0 ** rng.uniform(3.5, 5.0), "damping": 10.0 ** rng.uniform(0.5, 2.0)}
        self.kinds: list[str] = []
        self.builder = ModelBuilder()

    def kind(self):
        self.kinds.append(str(self.rng.choice(SHAPES)))
        return self.kinds[-1]

    def body(self, position, locked=(), rotation=None, kind=None):
        rng = self.rng
        rotation = quaternion(rng) if rotation is None else rotation
        body = self.builder.add_body(position=position, rotation=rotation, locked=locked)
        kind = kind or self.kind()
        law = dict(self.law)
        for name in ("rolling_resistance", "torsional_resistance"):
            if name in law:
                law[name] = float(law[name] * rng.uniform(0.3, 1.0))
        add_shape(self.builder, body, kind, float(rng.uniform(0.04, 0.07)), rng, density=rng.uniform(300, 3000), **law)
        return body

    def surroundings(self):
        """A plane, mostly level, and at times something beside it."""
        rng = self.rng
        tilt = rng.uniform(0.0, 0.15) if rng.random() < 0.4 else 0.0
        self.builder.add_plane(rotation=about((math.cos(tilt * 99), math.sin(tilt * 99), 0.0), tilt), **self.law)
        if rng.random() < 0.4:
            place = (rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.05), -0.02)
            kind = self.kind()
            add_shape(
                self.builder, STATIC, kind, 0.06, rng, position=place, rotation=quaternion(rng), **self.law
            )  # fmt: skip
            self.kinds[-1] = f"static {kind}"

    def build(self):
        b, rng = self.builder, self.rng
        high = 0.13
        planar = ("y", "rx", "rz")
        if self.family == "plane pair":
            self.surroundings()
            for i in range(2):
                turn = about((0, 1, 0), rng.uniform(0, 6))
                self.body((rng.uniform(-0.02, 0.02), 0.0, high + 0.16 * i), planar, turn, kind=self.kind())
        elif self.family in ("one body", "pushed"):
            self.surroundings()
            self.body((0, 0, high))
        elif self.family == "free pair":
            if rng.random() < 0.5:
                self.surroundings()
            for i in range(2):
                self.body((rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02), high + 0.15 * i))
        else:
            self.surroundings()
            for i in range(int(rng.integers(3, 5))):
                self.body((0.09 * (i % 2) * rng.uniform(0.5, 1.5), rng.uniform(-0.04, 0.04), high + 0.13 * i))
        self.pusher = None
        if self.family.startswith("pushed"):
            p = self.body((-0.15, rng.uniform(-0.03, 0.03), 0.06), ("z", "angular"), kind="sphere")
            kind = str(rng.choice(["position", "velocity", "force"]))
            gains = {"position": (800.0, 60.0), "velocity": (0.0, 80.0), "force": (0.0, 0.0)}[kind]
            for axis in ("x", "y"):
                b.add_actuator(p, axis, kind, stiffness=gains[0], damping=gains[1])
            self.pusher, self.driven = p, kind
        elif rng.random() < 0.3:  # a body that is driven about or along one of its free axes
            axis = str(rng.choice(["x", "z", "ry"]))
            b.add_actuator(0, axis, "force")
            self.pusher, self.driven = 0, f"force {axis}"

    def scene(self, **options):
        """The scene in double precision."""
        self.build()
        model = self.builder.finalize(dtype="float64")
        rng = self.rng
        gen = torch.Generator().manual_seed(int(rng.integers(2**31)))

        def uniform(low, high, *shape):
            return low + (high - low) * torch.rand(shape, generator=gen, dtype=torch.float64)

        bodies = len(self.builder._bodies)
        state = model.state(WORLDS)
        free = torch.as_tensor(model.body_free, dtype=torch.float64)
        v = torch.randn((WORLDS, bodies, 6), generator=gen, dtype=torch.float64) * torch.tensor(
            [0.3, 0.3, 0.3, 3.0, 3.0, 3.0], dtype=torch.float64
        )
        v[:, :, 2] -= uniform(0.2, 1.5, WORLDS, 1)
        state.body_v[:] = v * free
        given = {"gravity": model.gravity.expand(WORLDS, 3) * uniform(0.8, 1.2, WORLDS, 1)}
        mu = uniform(0.1, 0.9, WORLDS, model.shapes)
        mu[1::4] = 0.0
        given["shape_friction"] = mu
        if self.bounces:
            e = uniform(0.2, 0.8, WORLDS, model.shapes)
            e[2::4] = 0.0
            given["shape_restitution"] = e
        before = SEGMENT * int(rng.integers(0, int(0.25 / self.step / SEGMENT)))
        control = None
        if self.pusher is not None:
            columns = len(model.actuator_names)
            scale = {"position": 0.1, "velocity": 0.3, "force ry": 0.005}.get(self.driven, 2.0)
            ramp = torch.linspace(0.0, 1.0, before + self.steps, dtype=torch.float64)[:, None, None]
            aim = torch.randn((1, WORLDS, columns), generator=gen, dtype=torch.float64) * 0.3
            aim[..., 0] += 1.0
            control = scale * aim * (1.0 + ramp)
            if self.driven == "position":
                control[..., 0] -= 0.15
        exact = {
            "step": self.step, "tolerance": 1e-13, "threads": 1, "allow_overlap": True, "segment": SEGMENT, **options
        }  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SimulationWarning)
            simulator = Simulator(model, **exact)
            if before:
                first = None if control is None else control[:before]
                state = simulator.rollout(state, first, given, steps=before, record=False).final
        values = {name: given.get(name, getattr(model, name)).clone() for name in PARAMETERS if self._used(name, model)}
        values = {n: x.expand(WORLDS, *x.shape[1:]).clone() for n, x in values.items()}
        said = {
            "shapes": "+".join(self.kinds), "step": self.step, "before": before, "steps": self.steps,
            "law": {k: float(f"{x:.3g}") for k, x in self.law.items()},
            "driven": "no" if self.pusher is None else self.driven,
        }  # fmt: skip
        control = None if control is None else control[before:]
        return Scene(
            self.family, self.seed, simulator, state, control, values, self.steps, self.builder, exact, said
        )  # fmt: skip

    def _used(self, name, model):
        if not getattr(model, name).numel():
            return False
        return {
            **dict.fromkeys(RESISTANCE, self.resists),
            **dict.fromkeys(STIFFNESS, self.stiff),
            "shape_restitution": self.bounces,
        }.get(name, True)


def draw(family, seed, **options):
    """The scene of a family and a seed."""
    return Draw(family, seed).scene(**options)


def single(scene):
    """The same scene in single precision, from the same state, with the default tolerance."""
    model = scene.builder.finalize(dtype="float32")
    simulator = Simulator(model, **{k: x for k, x in scene.options.items() if k != "tolerance"})
    return replace(
        scene,
        simulator=simulator,
        state=State(scene.state.body_q.float(), scene.state.body_v.float()),
        control=None if scene.control is None else scene.control.float(),
        parameters={n: x.float() for n, x in scene.parameters.items()},
    )


def beside(scene, others=2):
    """The same scene with bodies far away, which make it one for the solver of islands; the last use of its builder."""
    for i in range(others):
        scene.builder.add_sphere(scene.builder.add_body(position=(30.0 + i, 0, 30.0)), 0.05)
    model = scene.builder.finalize(dtype="float64")
    far = model.state(WORLDS)
    state = State(
        torch.cat([scene.state.body_q, far.body_q[:, -others:]], 1),
        torch.cat([scene.state.body_v, far.body_v[:, -others:]], 1),
    )
    values = {}
    for name, x in scene.parameters.items():
        if name.startswith(("body", "shape")):
            more = getattr(model, name)[:, -others:]
            x = torch.cat([x, more.expand(WORLDS, *more.shape[1:])], 1)
        values[name] = x
    return replace(scene, simulator=Simulator(model, **scene.options), state=state, parameters=values)

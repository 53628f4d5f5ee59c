"""A settled pile of carrot pieces swept by a blade for a short while, as a differentiable function of its inputs."""

from dataclasses import dataclass

import numpy as np
import torch

from carom.envs.carrots import Blade, cut_carrot
from carom.envs.carrots.scene import build_scene
from carom.envs.carrots.spilling import Spill, spill
from carom.sim import Simulator, State

STEP = 0.005


@dataclass
class SweptPile:
    """The scene, its inputs, and a smooth function of the final state: [worlds]."""

    simulator: Simulator
    inputs: dict
    """Tensors of one world by name: "body_v", "body_mass", "shape_friction" and "control"."""
    body_q: torch.Tensor
    pieces: int

    @classmethod
    def make(cls, pieces=20, steps=60, seed=0, speed=0.1, **options):
        """A blade, lowered 2 mm beside the pile, moves into it along x at ``speed`` [m/s]; float64."""
        shapes, how, blade = cut_carrot(pieces, seed), Spill(seed=seed, friction=0.5), Blade()
        poses = spill(shapes, how)
        model = build_scene(shapes, poses, how.friction, blade).finalize(dtype="float64")
        state = model.state()
        reach = [
            (np.abs(p.vertices).max() + x[0], np.linalg.norm(p.vertices, axis=1).max())
            for p, x in zip(shapes, poses, strict=True)
            if abs(x[1]) < blade.half_extents[0] + 0.02
        ]
        start = min(x[0] for x in poses) - max(r for _, r in reach) - blade.half_extents[1] - 0.002
        half = torch.tensor(0.25 * np.pi, dtype=torch.float64)
        state.body_q[0, -1] = torch.tensor([start, 0.0, blade.low, 0.0, 0.0, half.sin(), half.cos()])
        x = start + speed * STEP * torch.arange(1, steps + 1, dtype=torch.float64)
        control = x.new_tensor([0.0, 0.0, blade.low + blade.mass * 9.81 / blade.stiffness_z, 0.5 * np.pi]).repeat(
            steps, 1
        )
        control[:, 0] = x
        state.body_v[0, -1, 0] = speed
        inputs = {
            "body_v": state.body_v,
            "body_mass": model.body_mass,
            "shape_friction": model.shape_friction,
            "control": control[:, None],
        }
        return cls(Simulator(model, step=STEP, tolerance=1e-13, **options), inputs, state.body_q, pieces)

    def value(self, inputs):
        """Sum of squares of the positions, and a part of the velocities."""
        q = self.body_q.expand(inputs["body_v"].shape[0], -1, -1)
        named = {k: inputs[k] for k in ("body_mass", "shape_friction")}
        t = self.simulator.rollout(State(q, inputs["body_v"]), inputs["control"], named, record=False)
        q, v = t.final.body_q[:, : self.pieces], t.final.body_v[:, : self.pieces]
        return 10.0 * (q[..., :3] ** 2).sum((1, 2)) + (q[..., 3:] ** 3).sum((1, 2)) + 0.01 * v[..., :3].sum((1, 2))

    def gradient(self):
        """Of the value with respect to each input."""
        leaves = {k: x.clone().requires_grad_() for k, x in self.inputs.items()}
        return dict(zip(leaves, torch.autograd.grad(self.value(leaves).sum(), list(leaves.values())), strict=True))

    def directions(self, count, seed=0):
        """Random directions, ``count`` for each input; a unit step is 0.1 m/s, the whole mass, friction, or 1 cm."""
        gen = torch.Generator().manual_seed(seed)
        found = []
        for name, x in self.inputs.items():
            size = {"body_v": torch.full_like(x, 0.1), "control": torch.full_like(x, 0.01)}.get(name, x)
            for _ in range(count):
                tangent = size * torch.randn(x.shape, generator=gen, dtype=x.dtype) / x.numel() ** 0.5
                if name == "control":
                    tangent[..., 2:] = 0.0
                found.append((name, tangent))
        return found

    def slopes(self, directions, eps):
        """Central differences along directions, [steps of the difference, directions]."""
        rows = {k: [] for k in self.inputs}
        for e in eps:
            for name, tangent in directions:
                for sign in (1.0, -1.0):
                    for k, x in self.inputs.items():
                        rows[k].append(x + sign * e * tangent if k == name else x)
        with torch.no_grad():
            values = self.value({k: torch.cat(x, 1 if k == "control" else 0) for k, x in rows.items()})
        values = values.reshape(len(eps), len(directions), 2)
        return (values[..., 0] - values[..., 1]) / (2.0 * torch.tensor(eps, dtype=torch.float64)[:, None])

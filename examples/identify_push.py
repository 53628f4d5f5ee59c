"""System identification: mass and friction of a box from a recorded push, by the exact gradient.

The pusher gives the box a shove and stops; the box slides on. How it is pushed tells of mu m g and of m, how it comes
to rest of mu alone. Sixteen worlds fit the same push, each with a noise of its own on the poses: their spread is the
error bar.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import torch

import carom
from carom.envs.planar import planar_pose

MASS, FRICTION = 1.3, 0.4  # kg; what is to be found
NOISE = (1e-3, 1e-3, 0.01)  # of a measured pose: m, m, rad
GUESS = (0.7, 0.7)

TASK = carom.envs.make("push", duration=0.5, way_points=5, dtype="float64")
X, Y = TASK.pusher_start
WAY_POINTS = torch.tensor([[X + 0.06, Y] * 5], dtype=torch.float64)  # 6 cm in 0.1 s, and stop


def parameters(mass: torch.Tensor, friction: torch.Tensor) -> dict[str, torch.Tensor]:
    """The scene's parameters for a box of ``mass`` [worlds] (kg), and ``friction`` [worlds] of all that touches."""
    model = TASK.model
    factor = torch.stack([mass / model.body_mass[..., 0], torch.ones_like(mass)], dim=1)  # of the box, of the pusher
    return {
        "body_mass": factor * model.body_mass,
        "body_inertia": factor[..., None, None] * model.body_inertia,
        "shape_friction": friction[:, None].expand(-1, model.shape_friction.shape[-1]),
    }


def push(mass: torch.Tensor, friction: torch.Tensor) -> carom.sim.Trajectory:
    """The push in as many worlds as there are masses."""
    worlds = len(mass)
    control = TASK.controls(WAY_POINTS.expand(worlds, -1))
    return TASK.simulator.rollout(TASK.model.state(worlds), control, parameters(mass, friction))


def record(path: Path) -> None:
    """The push of the true box, as a file."""
    truth = torch.tensor([[MASS], [FRICTION]], dtype=torch.float64)
    carom.record(TASK.simulator, push(*truth), TASK.controls(WAY_POINTS), parameters(*truth)).save(path)


def identify(path: Path, worlds: int = 16, noise: tuple[float, ...] = NOISE, seed: int = 0) -> torch.Tensor:
    """Mass and friction [worlds, 2] that fit the recorded push best, each world's with its own noise."""
    poses = planar_pose(torch.as_tensor(carom.Recording.load(path).body_q[:, :, 0]))  # [steps + 1, 1, (x, y, yaw)]
    deviation = torch.tensor(noise, dtype=torch.float64)
    draws = torch.randn(len(poses), worlds, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    measured = poses + deviation * draws
    logs = torch.tensor(GUESS, dtype=torch.float64).log().repeat(worlds, 1).requires_grad_()  # stays positive
    optimizer = torch.optim.LBFGS([logs], max_iter=60, line_search_fn="strong_wolfe")

    def misfit() -> torch.Tensor:
        optimizer.zero_grad()
        simulated = planar_pose(push(*logs.exp().unbind(1)).body_q[:, :, 0])
        loss = ((simulated - measured) / deviation).square().mean()
        loss.backward()
        return loss

    optimizer.step(misfit)
    return logs.detach().exp()


def main() -> None:
    """Print what was found, with its error bar, beside the truth."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "push.npz"
        record(path)
        found = identify(path)
    for name, truth, guess, values in zip(("mass, kg", "friction"), (MASS, FRICTION), GUESS, found.T, strict=True):
        error = float(values.std() / math.sqrt(len(values)))
        print(
            f"{name:<9} true {truth:.3f}  first guess {guess:.3f}  found {float(values.mean()):.4f} +- {error:.4f} "
            f"(one recording: +- {float(values.std()):.4f})"
        )


if __name__ == "__main__":
    main()

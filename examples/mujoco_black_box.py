"""Gradients through a MuJoCo rollout: ``carom.gradients`` needs values only, and nothing of ``carom.sim``.

A ball is thrown at a target behind a wall: it clears the wall, or bounces back, and the cost jumps between the two.
Needs ``pip install mujoco``.
"""

from __future__ import annotations

import mujoco
import mujoco.rollout
import numpy as np
import torch

from carom.gradients import Boundary, CentralDifferences, Smoothing, Surrogate, compare_backends

SCENE = """
<mujoco>
  <option timestep="0.004"/>
  <worldbody>
    <geom type="plane" size="5 5 0.1"/>
    <geom type="box" size="0.05 1 0.25" pos="1 0 0.25"/>
    <body pos="0 0 0.05">
      <joint type="slide" axis="1 0 0"/> <joint type="slide" axis="0 0 1"/>
      <geom type="sphere" size="0.05" mass="0.1"/>
    </body>
  </worldbody>
</mujoco>
"""
TARGET, SECONDS = 1.8, 0.9  # m, s


class Throw:
    """Squared distance [m^2] of the ball from the target, of its first velocity theta = (vx, vz) [m/s]."""

    parameter_names = ("vx", "vz")

    def __init__(self) -> None:
        self.model = mujoco.MjModel.from_xml_string(SCENE)
        self.data = mujoco.MjData(self.model)
        self.steps = round(SECONDS / self.model.opt.timestep)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of a batch of throws, rolled out by MuJoCo."""
        return torch.cat([self._cost(part) for part in theta.detach().split(512)])  # MuJoCo stores every step

    def _cost(self, theta: torch.Tensor) -> torch.Tensor:
        start = np.zeros((len(theta), 1 + self.model.nq + self.model.nv))  # time, positions, velocities
        start[:, 1 + self.model.nq :] = theta.cpu().double().numpy()
        states, _ = mujoco.rollout.rollout(self.model, self.data, initial_state=start, nstep=self.steps)
        return torch.as_tensor((states[:, -1, 1] - TARGET) ** 2).to(theta)


def main() -> None:
    """Print each backend's gradient beside central differences of the smoothed cost."""
    scale, theta = 0.2, torch.tensor([1.9, 3.5], dtype=torch.float64)
    backends = {
        "zeroth order": Smoothing(scale=scale, samples=1024, order="zeroth"),
        "surrogate": Surrogate(scale=scale, samples=1024),
        "boundary": Boundary(scale=scale, samples=24, continuous="line"),
    }
    found = compare_backends(Throw(), theta, backends, CentralDifferences(scale=scale, samples=1024), seed=0)
    print(f"{'':<14} {'d/dvx':>8} {'d/dvz':>8}   +- (95 %)          rollouts")
    for row in (found.reference, *found.rows):
        errors = "-" if row.error_bar is None else "  ".join(f"{half:7.4f}" for half in row.error_bar)
        print(f"{row.name:<14} {row.gradient[0]:8.4f} {row.gradient[1]:8.4f}   {errors:<17}  {row.evaluations:>7}")


if __name__ == "__main__":
    main()

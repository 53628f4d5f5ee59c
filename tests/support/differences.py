"""Numerical derivatives to compare the exact gradient with, and the comparison itself.

The perturbed rollouts run as worlds of one batch: every world gets its own state, controls and parameters. (That a
world's result does not depend on its neighbours is tested in ``tests/physics/test_batches.py``.)
"""

import math
from dataclasses import dataclass

import torch
from scenes import multiply

from carom.sim import State

STEPS = tuple(1e-3 * 10.0 ** (-k / 2) for k in range(9))
"""Step sizes of the central differences, 1e-3 ... 1e-7, as parts of the scale of each direction."""


NOISE = 5e-15
"""Rounding of a loss of order one after a rollout; a difference over 2 eps carries NOISE / eps of it."""


def ridders(values, widths=STEPS, rounding=NOISE):
    """Ridders' extrapolation of central differences at steps shrinking by sqrt(10), largest step first.

    Returns the entry of the tableau with the least error estimate, and that estimate. The choice uses only how the
    differences agree with each other, never the gradient that they are to be compared with.
    """
    noise = [rounding / eps for eps in widths]
    table = [[values[0]]]
    best, error = values[0], float("inf")
    for i in range(1, len(values)):
        row = [values[i]]
        for j in range(i):
            factor = 10.0 ** (j + 1)  # the error's orders are 2, 4, 6, ... and the steps shrink by sqrt(10)
            row.append((factor * row[j] - table[i - 1][j]) / (factor - 1.0))
            guess = max(abs(row[j + 1] - row[j]), abs(row[j + 1] - table[i - 1][j])) + noise[i]
            if guess <= error:
                best, error = row[j + 1], guess
        table.append(row)
    return best, error


@dataclass
class Direction:
    """A curve through the inputs: ``name`` of the tensor, and the tensor at parameter eps."""

    name: str
    label: str
    tangent: torch.Tensor
    curve: object = None

    def at(self, value, eps):
        return self.curve(eps) if self.curve else value + eps * self.tangent


@dataclass
class Problem:
    """A rollout and a loss of its trajectory: [worlds] from a Trajectory."""

    simulator: object
    inputs: dict
    loss: object
    steps: int | None = None
    record: bool = True
    widths: tuple = STEPS
    """Of the differences."""
    rounding: float = NOISE
    """Of the loss."""

    def evaluate(self, inputs):
        parameters = {k: v for k, v in inputs.items() if k not in ("body_q", "body_v", "control")}
        t = self.simulator.rollout(
            State(inputs["body_q"], inputs["body_v"]),
            inputs.get("control"),
            parameters,
            steps=self.steps,
            record=self.record,
        )
        return self.loss(t)

    def gradient(self):
        leaves = {k: v.detach().clone().requires_grad_() for k, v in self.inputs.items()}
        value = self.evaluate(leaves).sum()
        grads = torch.autograd.grad(value, list(leaves.values()))
        return dict(zip(leaves, grads, strict=True))

    def numerical(self, directions):
        """Derivative along each direction, from one batch of rollouts."""
        batch = {k: [] for k in self.inputs}
        for d in directions:
            for eps in self.widths:
                for sign in (1.0, -1.0):
                    for k, value in self.inputs.items():
                        batch[k].append(d.at(value, sign * eps) if k == d.name else value)
        with torch.no_grad():
            worlds = {k: torch.cat(v, 1 if k == "control" else 0) for k, v in batch.items()}
            values = self.evaluate(worlds).double().cpu().reshape(len(directions), len(self.widths), 2)
        out = []
        for row in values:
            differences = [((row[k, 0] - row[k, 1]) / (2 * eps)).item() for k, eps in enumerate(self.widths)]
            out.append(ridders(differences, self.widths, self.rounding)[0])
        return out


def directions_for(inputs, seed=0, entries=2):
    """Random directions of every input, some single entries, and turns of the initial poses.

    A direction is scaled to the size of its tensor, so that a step of 1e-3 is a change of a thousandth.
    """
    gen = torch.Generator().manual_seed(seed)
    out = []
    for name, value in inputs.items():
        size = {"body_q": 0.1, "body_v": 1.0, "control": 0.1}.get(name)
        scale = torch.full_like(value, size) if size else value.abs()
        noise = torch.randn(value.shape, generator=gen, dtype=torch.float64).to(value) / value[0].numel() ** 0.5
        if name == "gravity":
            scale = torch.full_like(value, 9.81)
        if name == "body_inertia":  # stays symmetric
            size = value.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
            scale, noise = size.expand_as(value) * 0.3, 0.5 * (noise + noise.mT)
        if name == "body_q":
            tangent = scale * noise
            out.append(Direction(name, "raw", tangent))
            for b in range(value.shape[1]):
                out.append(turn(value, b, torch.randn(3, generator=gen, dtype=torch.float64)))
        else:
            out.append(Direction(name, "random", scale * noise))
        picks = torch.randperm(value[0].numel(), generator=gen)[:entries].tolist()
        if name == "control":
            steps, _, columns = value.shape
            picks = [(int(torch.randint(steps, (1,), generator=gen)) * columns + c % columns) for c in range(entries)]
        for index in picks:
            unit = torch.zeros_like(value)
            unit.view(-1)[index] = scale.reshape(-1)[index]
            if name == "body_inertia":
                unit = 0.5 * (unit + unit.mT)
            if unit.abs().max() > 0:
                out.append(Direction(name, f"entry {index}", unit))
    return out


def turn(value, body, axis):
    """Turn a body's initial pose about a world axis: a curve on the unit quaternions."""
    unit = axis.to(value) / axis.norm()
    size = 0.3
    q = value[:, body, 3:]
    half = torch.zeros_like(value)
    half[:, body, 3:] = 0.5 * size * multiply(torch.cat([unit, unit.new_zeros(1)]).expand_as(q), q)

    def curve(eps):
        step = torch.cat([unit * math.sin(eps * size / 2), unit.new_tensor([math.cos(eps * size / 2)])])
        moved = value.clone()
        moved[:, body, 3:] = multiply(step.expand_as(q), q)
        return moved

    return Direction("body_q", f"turn of body {body}", half, curve)


def compare(problem, directions):
    """Rows (label, exact, numerical, scale): scale is what a relative error is relative to.

    The scale of a row is the derivative itself or, where a direction is nearly orthogonal to the gradient, the
    largest of the products that add up to it, over ten.
    """
    exact = problem.gradient()
    rows = []
    for d, value in zip(directions, problem.numerical(directions), strict=True):
        g = exact[d.name]
        slope = float((g * d.tangent).sum())
        size = 0.1 * float((g * d.tangent.abs()).abs().max())
        rows.append((f"{d.name} {d.label}", slope, value, max(abs(slope), size)))
    return rows

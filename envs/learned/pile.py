"""The carrot pile as states and actions, and a graph network over its pieces and the blade."""

from __future__ import annotations

import torch

from ...gradients.learned.step_model import StepModel, initialise, mlp
from ..carrots import Carrots
from ..errors import TaskError

__all__ = ["PileDynamics", "PileModel"]

WIDTH = 64
"""Width of the hidden layers."""

REACH = 0.06
"""Distance of centres beyond which pieces exchange no messages [m]: two of the largest."""

ROUNDS = 2
"""Rounds of messages."""


class PileDynamics:
    """The carrot pile in steps of one push: a dynamics task for ``fit_dynamics``.

    State [pieces, 2]: the pieces' centres of mass from above [m]. Their orientations and which piece lies on which are
    left out, so that no model of it is exact. Action [4]: a push x0, y0, x1, y1 [m].

    Args:
        task: The pile; all worlds alike.

    Raises:
        TaskError: The task has ``randomize``.
    """

    def __init__(self, task: Carrots):
        if task.randomize is not None:
            raise TaskError("carrots: a learned model is of one kind of world: make the task without randomize")
        self.task = task
        self.name, self.parameter_names = task.name, task.parameter_names

    def start(self, count: int) -> torch.Tensor:
        """The pile at rest, [count, pieces, 2] [m]."""
        return self.centres(self.task.pile_state(1).body_q).expand(count, -1, -1)

    def centres(self, body_q: torch.Tensor) -> torch.Tensor:
        """States [..., pieces, 2] of poses [..., bodies, 7]."""
        return body_q[..., : self.task.piece_count, :2]

    def actions(self, theta: torch.Tensor) -> torch.Tensor:
        """The pushes of an episode, [pushes, batch, 4] [m]."""
        return self.task.actions(theta).transpose(0, 1)

    def cost(self, final: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """The task's cost [m] of the final centres, [batch]."""
        return self.task.loss(final.flatten(1))

    def simulate(self, theta: torch.Tensor) -> torch.Tensor:
        """The simulator's states before and after every push, [pushes + 1, batch, pieces, 2]."""
        actions = self.task.actions(self.task.check(theta))
        state = self.task.pile_state(len(actions))
        path = [self.centres(state.body_q)]
        for action in actions.unbind(1):
            state = self.task.push(state, action)
            path.append(self.centres(state.body_q))
        return torch.stack(path)

    def distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Root mean square over the pieces of how far they are apart [m], [...]."""
        return (a - b).square().sum(-1).mean(-1).sqrt()

    def model(self, seed: int) -> PileModel:
        """A fresh network."""
        sizes = [[float(p.mesh.size[0]), float(p.mesh.size[1])] for p in self.task.pieces]
        return PileModel(torch.tensor(sizes, dtype=torch.float32, device="cpu"), self.task.blade_half_extents[0], seed)


class PileModel(StepModel):
    """Model of the displacements of the pieces: messages between near pieces, in the frame of the push.

    The inputs of a piece are its place relative to the start, the end and the width of the blade's way (along and
    across the push), its own size, and sums over the pieces around it: so permuting the pieces permutes the answer, and
    turning or moving pile and push together turns and moves it. The weight of a neighbour falls smoothly to 0 at
    ``REACH``.
    """

    def __init__(self, sizes: torch.Tensor, half_width: float, seed: int) -> None:
        """``sizes`` [pieces, 2]: lengths of each piece, inputs of its network [m]."""
        super().__init__(changes=2)
        self.register_buffer("sizes", sizes.float())
        self.sizes: torch.Tensor
        self.half_width = half_width
        self.node = mlp([7, WIDTH, WIDTH])
        self.messages = torch.nn.ModuleList(mlp([2 * WIDTH + 3, WIDTH, WIDTH]) for _ in range(ROUNDS))
        self.updates = torch.nn.ModuleList(mlp([2 * WIDTH, WIDTH, WIDTH]) for _ in range(ROUNDS))
        self.out = mlp([WIDTH + 7, WIDTH, 2])
        initialise(self, seed)

    def change(self, state: torch.Tensor, action: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Displacements along and across the push, [batch, pieces, 2] [m]."""
        return (after - state) @ _frame(action)

    def apply_change(self, state: torch.Tensor, action: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """The centres after, [batch, pieces, 2]."""
        return state + change @ _frame(action).mT

    def predict(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The standardized displacements, [batch, pieces, 2]."""
        return self.displacements(state, action, self.sizes.expand(len(state), -1, -1))

    def displacements(self, state: torch.Tensor, action: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """Standardized displacements of pieces of other sizes, [batch, pieces, 2]."""
        frame = _frame(action)
        length = (action[:, 2:] - action[:, :2]).norm(dim=1)[:, None].expand(state.shape[:2])
        along, across = ((state - action[:, None, :2]) @ frame).unbind(-1)
        features = torch.stack(
            [
                along / 0.05,
                (along - length) / 0.05,
                across / self.half_width,
                (across / self.half_width).square(),
                length / 0.1,
                sizes[..., 0] / 0.02,
                sizes[..., 1] / 0.02,
            ],
            dim=-1,
        )
        place = torch.stack([along, across], dim=-1)
        apart = place[:, :, None] - place[:, None]
        squares = apart.square().sum(-1) / REACH**2
        weight = (1.0 - squares).clamp(min=0.0).square()
        weight = weight * (1.0 - torch.eye(weight.shape[-1], dtype=weight.dtype, device=weight.device))
        pairs = torch.cat([apart / REACH, squares[..., None]], dim=-1)
        h = self.node(features)
        pieces = h.shape[1]
        for message, update in zip(self.messages, self.updates, strict=True):
            mine = h[:, :, None].expand(-1, -1, pieces, -1)
            sent = message(torch.cat([mine, mine.transpose(1, 2), pairs], dim=-1))
            heard = (weight[..., None] * sent).sum(2)
            h = h + update(torch.cat([h, heard], dim=-1))
        return self.out(torch.cat([h, features], dim=-1))


def _frame(action: torch.Tensor) -> torch.Tensor:
    """Columns along and across each push [batch, 2, 2]."""
    along = torch.nn.functional.normalize(action[:, 2:] - action[:, :2], dim=1)
    across = torch.stack([-along[:, 1], along[:, 0]], dim=1)
    return torch.stack([along, across], dim=2)

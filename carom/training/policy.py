"""The networks that are trained: a policy and a critic; and the file in which a policy is kept."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..envs.control import ControlTask
from ..files.atomic import atomic_file
from ..plain import plain_numbers
from .errors import PolicyFileError

__all__ = ["POLICY_FORMAT", "Policy", "critic_network", "load_policy", "perceptron", "save_policy"]

POLICY_FORMAT = 1
"""Version of the policy file."""

_KIND = "carom policy"


def perceptron(
    inputs: int, hidden: Sequence[int], outputs: int, *, last: float = 1.0, kind: str = "elu"
) -> torch.nn.Sequential:
    """A multi-layer perceptron.

    Args:
        inputs: Width of the input.
        hidden: Widths of the hidden layers.
        outputs: Width of the output.
        last: Factor on the initial weights of the last layer, whose biases begin at zero.
        kind: Kind of the hidden layers: "elu", with layer normalization, as in SHAC (Xu et al. 2022), or "tanh",
            without.
    """
    layers: list[torch.nn.Module] = []
    made: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
    for width in hidden:
        layers.append(torch.nn.Linear(inputs, width, **made))
        layers += [torch.nn.LayerNorm(width, **made), torch.nn.ELU()] if kind == "elu" else [torch.nn.Tanh()]
        inputs = width
    final = torch.nn.Linear(inputs, outputs, **made)
    with torch.no_grad():
        final.weight.mul_(last)
        final.bias.zero_()
    return torch.nn.Sequential(*layers, final)


def critic_network(task: ControlTask, hidden: Sequence[int]) -> torch.nn.Module:
    """A network from observations [batch, k] to values [batch, 1]."""
    return perceptron(len(task.observation_names), hidden, 1).to(task.device, task.dtype)


@plain_numbers
class Policy(torch.nn.Module):
    """Policy from observations [batch, k] to raw actions [batch, m]; ``squash`` makes actions of them, within bounds.

    The network works before the bounds: a raw action u becomes low + (high - low) (tanh u + 1) / 2, so that noise may
    be added to it without leaving them.

    Args:
        observations: k.
        low: Smallest action, one number each.
        high: Largest action.
        hidden: Widths of the hidden layers.
        kind: "elu" or "tanh", see :func:`perceptron`.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(
        self,
        observations: int,
        low: Sequence[float],
        high: Sequence[float],
        hidden: Sequence[int] = (64, 64),
        kind: str = "elu",
    ):
        super().__init__()
        self.hidden, self.kind = tuple(hidden), kind
        self.network = perceptron(observations, hidden, len(low), last=0.1, kind=kind)
        self.register_buffer("low", torch.tensor(low, dtype=torch.float64, device="cpu"))
        self.register_buffer("high", torch.tensor(high, dtype=torch.float64, device="cpu"))

    @classmethod
    def of(cls, task: ControlTask, hidden: Sequence[int] = (64, 64), kind: str = "elu") -> Policy:
        """A fresh policy for a task, in its precision and on its device."""
        policy = cls(len(task.observation_names), task.action_low, task.action_high, hidden, kind)
        return policy.to(task.device, task.dtype)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Raw actions [batch, m]: their mean, where noise is added."""
        raw: torch.Tensor = self.network(observation)
        return raw

    def squash(self, raw: torch.Tensor) -> torch.Tensor:
        """Actions within the bounds, of raw ones; [..., m]."""
        return self.low + (self.high - self.low) * (0.5 * (raw.tanh() + 1.0))

    def act(self, observation: torch.Tensor) -> torch.Tensor:
        """Actions without noise [batch, m]."""
        return self.squash(self(observation))


def save_policy(path: Path, policy: Policy, task: ControlTask, options: Mapping[str, Any]) -> None:
    """Write the policy to ``path`` in one step; ``torch.load(path, weights_only=True)`` reads it.

    Args:
        path: The file.
        policy: Policy to save.
        task: Task that it was trained on.
        options: With which ``make_control(task.name, **options)`` makes the task.
    """
    content = {
        "format": _KIND,
        "version": POLICY_FORMAT,
        "task": task.name,
        "options": dict(options),
        "observation_names": list(task.observation_names),
        "action_names": list(task.action_names),
        "action_low": policy.low.tolist(),
        "action_high": policy.high.tolist(),
        "hidden": list(policy.hidden),
        "kind": policy.kind,
        "weights": {name: value.detach().cpu() for name, value in policy.state_dict().items()},
    }
    with atomic_file(path) as file:
        torch.save(content, file)


def load_policy(path: str | Path, task: ControlTask | None = None) -> Policy:
    """The policy kept in a file; nothing in the file is executed.

    Args:
        path: File that ``save_policy`` wrote.
        task: If given, the task that the policy must have been trained on, whose precision and device it gets.

    Raises:
        FileNotFoundError: There is no such file.
        PolicyFileError: It holds no policy, or one of another task.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise PolicyFileError(f"{path} holds no policy of carom: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict) or content.get("format") != _KIND:
        raise PolicyFileError(f"{path} holds no policy of carom; `carom train` writes policy.pt")
    if content.get("version") != POLICY_FORMAT:
        raise PolicyFileError(f"{path} has format {content.get('version')!r}; this carom reads format {POLICY_FORMAT}")
    missing = {"task", "observation_names", "action_low", "action_high", "hidden", "kind", "weights"} - set(content)
    if missing:
        raise PolicyFileError(
            f"{path} is damaged: it lacks {', '.join(sorted(missing))}. `carom train` writes policy.pt"
        )
    if task is not None and (
        content["task"] != task.name or tuple(content["observation_names"]) != tuple(task.observation_names)
    ):
        raise PolicyFileError(f"{path} holds a policy of task {content['task']!r}, not of {task.name!r} as it is here")
    sizes = (len(content["observation_names"]), content["action_low"], content["action_high"], content["hidden"])
    policy = Policy(*sizes, content["kind"])
    policy.to(next(iter(content["weights"].values())).dtype)
    try:
        policy.load_state_dict(content["weights"])
    except RuntimeError as error:
        raise PolicyFileError(f"{path} is damaged: {str(error).splitlines()[-1].strip()}") from None
    return policy if task is None else policy.to(task.device, task.dtype)

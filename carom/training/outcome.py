"""Files of a finished training: the policy, a learning curve, recorded episodes, results.json."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ..envs.control import ControlTask
from ..files.results import versions
from ..files.run_folder import recording_entry
from ..gradients.core.optional import optional
from ..render.learning_curve import draw_learning_curve
from ..runs import RunFolder
from ..runs.recorded import save_recording
from .evaluation import unseen
from .method import Method
from .policy import Policy, save_policy
from .train import Training

__all__ = ["CURVE", "POLICY", "RECORDING", "play", "write_outcome"]

POLICY, CURVE, RECORDING = "policy.pt", "curve.png", "recording.npz"

EPISODES = 8
"""Episodes that are recorded: the first of the test goals."""


def write_outcome(folder: RunFolder, task: ControlTask, method: Method, training: Training) -> list[str]:
    """Write all files, results.json last, which finishes the run. Returns remarks for the user."""
    identity = folder.identity
    save_policy(folder.path / POLICY, training.policy, task, identity["task"]["options"])
    draw_learning_curve(folder.path / CURVE, training.history, f"{task.name}, {identity['gradient']}")
    recordings, notes = [], []
    record = optional(task, "record")
    if callable(record):  # not every task simulates bodies
        start, actions, costs = play(task, training.policy, EPISODES)
        missing = save_recording(lambda: record(start, actions), folder.path / RECORDING)
        curve = _curve(training)
        if missing is None:
            recordings = [recording_entry(identity["gradient"], RECORDING, float(costs[0]), curve=curve)]
        else:
            notes.append(missing)
    low, high = training.evaluation.interval
    folder.finish(
        {
            "format": 1,
            **identity,
            "method": {"name": type(method).__name__, **dataclasses.asdict(method)},  # type: ignore[call-overload]
            "evaluation": {
                "episodes": training.evaluation.episodes,
                "successes": training.evaluation.successes,
                "success": training.evaluation.success,
                "interval": [low, high],
                "cost": training.evaluation.cost,
            },
            "steps_simulated": training.steps,
            "history": training.history,
            "recordings": recordings,
            "notes": notes,
            "versions": versions(),
            "timings": {"seconds": training.seconds, "core_seconds": training.core_seconds},
        }
    )
    return notes


@torch.no_grad()
def play(task: ControlTask, policy: Policy, episodes: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Starts, actions [T, episodes, m] and total costs [episodes] of the first test episodes."""
    start = unseen(task, episodes)
    state, actions, total = start, [], torch.zeros(episodes, dtype=torch.float64, device="cpu")
    for _ in range(task.horizon):
        actions.append(policy.act(task.observe(state)))
        state, cost, _ = task.step(state, actions[-1])
        total += cost.double().cpu()
    return start, torch.stack(actions), total


def _curve(training: Training) -> list[list[float]]:
    history = training.history
    rows = zip(history["steps"], history["validation_cost"], strict=True)
    return [[float(step), float(cost)] for step, cost in rows if cost is not None]

"""Training on ``push`` itself."""

from __future__ import annotations

import pytest

from carom.envs.control import make_control
from carom.training import ActorCritic, train


@pytest.mark.slow
def test_the_exact_gradient_learns_to_push_to_unseen_goals():
    """450,000 intervals, 200 core seconds: measured 47.9 % (43.6 to 52.2 %); pushing straight on gives 20 to 27 %.

    The aim of 90 % is not reached in this time: docs/training.md.
    """
    result = train(make_control("push", frame="block"), ActorCritic(), steps=450_000, seed=0)
    assert result.evaluation.interval[0] > 0.35

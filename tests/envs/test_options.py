"""Options that a task does not take: which one it is, and what there is instead."""

from __future__ import annotations

import math

import pytest

from carom.envs import TaskError, make
from carom.envs.control import make_control


@pytest.mark.parametrize(
    ("construct", "name", "options", "words"),
    [
        (make, "push", {"offst": 1}, ("'offst'; did you mean 'offset'?", "start, device", "of the simulator stiction")),
        (make, "quadratic", {"hesian": 1}, ("did you mean 'hessian'?",)),
        (make, "push", {"offset": "abc"}, ("offset must be a finite number, got 'abc'",)),
        (make, "push", {"goal": (0.1, 0.2)}, ("goal must be x [m], y [m] and yaw [rad]", "got (0.1, 0.2)")),
        (make, "push", {"effort": math.nan}, ("effort must be a finite number, got nan",)),
        (make, "billiards", {"rows": "x"}, ("options given are rows='x'", "of a wrong type")),
        (make, "carrots", {"pieces": 1, "blade": 3.0}, ("task 'carrots'", "blade=3.0")),
        (make, "half_plane", {"normal": "abc"}, ("task 'half_plane'", "normal='abc'")),
        (make, "ball_with_wall", {"angle": math.nan}, ("angle must be a finite number, got nan",)),
        (make, "double_pendulum", {"final_weight": "x"}, ("final_weight must be a finite number, got 'x'",)),
        (make_control, "push", {"hozizon": 3}, ("did you mean 'horizon'?", "horizon, interval, bound", "offset, goal")),
        (make_control, "search", {"objective": "quadratic", "x": 1}, ("task 'quadratic'", "options are hessian")),
        (make_control, "billiards", {}, ("'search' with the option objective=billiards",)),
    ],
)
def test_the_option_is_named(construct, name, options, words):
    with pytest.raises(TaskError) as caught:
        construct(name, **options)
    assert all(word in str(caught.value) for word in words), str(caught.value)

"""What a spawned process does in tests: it must be importable by name there."""

import warnings


def send_gradient(task, theta, pipe):
    """Value and gradient of a task through a pipe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.send([x.numpy() for x in task.value_and_gradient(theta)])

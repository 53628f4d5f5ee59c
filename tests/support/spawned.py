"""Functions that spawned processes run in tests: importable by name there."""

import warnings


def send_gradient(task, theta, pipe):
    """Value and gradient of a task through a pipe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.send([x.numpy() for x in task.value_and_gradient(theta)])

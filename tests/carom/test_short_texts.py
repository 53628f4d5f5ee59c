"""Models, states and results print as a line or a page, not as all their numbers."""

import torch

import carom
from carom.envs import GapPush, Push
from carom.gradients import Autodiff, Smoothing


def test_each_prints_as_a_line():
    task = Push(duration=0.1, threads=1)
    theta = task.initial_parameters()
    recording = task.record(theta[None])
    texts = {
        "Model of 2 bodies (box, pusher), 3 shapes (table, box, pusher), 2 actuators (pusher.x, pusher.y); 1 world, "
        "float32 on cpu": task.model,
        "State of 3 worlds, 2 bodies; float32 on cpu": task.model.state(worlds=3),
        f"Recording of 20 steps of 0.005 s, 1 world, 2 bodies (box, pusher); {len(recording.contact_gap)} contacts in "
        "all": recording,
    }  # fmt: skip
    for text, thing in texts.items():
        assert str(thing) == repr(thing) == text
    path = task.rollout(theta[None])
    newton = int(path.diagnostics.iterations.sum())
    assert str(path) == (
        f"Trajectory with all states: 2 bodies, 20 steps of 1 world, {newton} Newton iterations, at most "
        f"{int(path.diagnostics.contacts.max())} contacts, no step failed"
    )


def test_estimates_and_results_print_their_numbers():
    objective = GapPush()
    theta = torch.tensor([0.05], dtype=torch.float64)
    found = Autodiff().estimate(objective, theta)
    assert str(found).startswith(f"Estimate: value {float(found.value):.4g}, gradient [{float(found.gradient[0]):.3g}]")
    rows = Smoothing(scale=0.01, samples=8).estimate(objective, theta.expand(3, 1))
    assert str(rows).startswith("Estimate of 3 thetas, first: value")
    best = carom.optimize(objective, theta, gradient="autodiff", rollouts=30)
    assert str(best).startswith(f"Result: cost {best.start_cost:.4g} -> {best.cost:.4g} at theta [")
    assert all(len(str(one)) < 250 for one in (found, rows, best))


def test_a_comparison_prints_as_its_page():
    found = carom.compare(GapPush(), backends=["autodiff", "smoothing"], race=False)
    assert repr(found) == "CompareResult of gap_push: autodiff, smoothing; print() shows it"
    assert str(found) == found.text()
    assert max(map(len, str(found).splitlines())) <= 80

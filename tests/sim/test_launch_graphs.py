"""Steps launched one by one and the same steps from a recorded graph; recordings beside launches of other threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from random_scenes import draw
from scenes import sphere_on_ground

from carom.sim import Simulator
from carom.sim.stepping import launch_graphs


def result(scene, simulator):
    """Final state and gradients of a rollout of a scene."""
    v = scene.state.body_v.clone().requires_grad_()
    q = scene.state.body_q.clone().requires_grad_()
    final = simulator.rollout(type(scene.state)(q, v), scene.control, scene.parameters, steps=scene.steps).final
    grads = torch.autograd.grad(final.body_q.sum() + final.body_v.square().sum(), (q, v))
    return [final.body_q.detach(), final.body_v.detach(), *grads]


def recorded(simulator):
    return [graph for one in simulator.pool.batches for graph in one.recorded]


@pytest.mark.parametrize(("family", "seed"), [("pushed", 1), ("heap", 3), ("pushed heap", 13), ("one body", 20)])
def test_a_graph_gives_the_bits_of_single_launches(family, seed, monkeypatch):
    scene = draw(family, seed)
    simulator = Simulator(scene.simulator.model, **scene.options)
    first = result(scene, simulator)
    assert not recorded(simulator)
    monkeypatch.setattr(launch_graphs, "STEPS_BEFORE_RECORDING", 0)
    for _ in range(2):
        again = result(scene, simulator)
    assert recorded(simulator)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_graphs_are_recorded_when_a_pass_has_run_for_a_while():
    simulator = Simulator(sphere_on_ground().finalize(), segment=32, threads=1)
    state = simulator.model.state()
    for steps in (32, launch_graphs.STEPS_BEFORE_RECORDING - 32):
        simulator.rollout(state, steps=steps, record=False)
        assert not recorded(simulator)
    simulator.rollout(state, steps=43, record=False)
    assert [steps for _, steps in recorded(simulator)] == [32]  # a length of eleven has run once
    simulator.rollout(state, steps=43, record=False)
    assert sorted(steps for _, steps in recorded(simulator)) == [11, 32]


def test_a_single_step_is_recorded_after_some_runs():
    simulator = Simulator(sphere_on_ground().finalize(), threads=1)
    state = simulator.model.state()
    for _ in range(launch_graphs.RUNS_BEFORE_RECORDING):
        assert not recorded(simulator)
        simulator.rollout(state, steps=1, record=False)
    simulator.rollout(state, steps=1, record=False)
    assert [steps for _, steps in recorded(simulator)] == [1]


def test_recording_leaves_the_launches_of_other_threads_alone(monkeypatch):
    """Warp records what any thread launches: a rollout beside a recording would not run, and be part of its graph."""
    monkeypatch.setattr(launch_graphs, "STEPS_BEFORE_RECORDING", 0)
    scenes = [draw("one body", 4), draw("plane pair", 5)]
    expected = [result(scene, Simulator(scene.simulator.model, **scene.options)) for scene in scenes]

    def right(scene, wanted):
        """Whether every rollout has the bits of one that ran alone; an exception of the thread is one of the test."""
        for _ in range(6):
            simulator = Simulator(scene.simulator.model, **scene.options)
            for _ in range(3):
                found = result(scene, simulator)
                if not all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True)):
                    return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(right, scenes * 2, expected * 2))

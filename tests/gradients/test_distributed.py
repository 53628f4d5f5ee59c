"""Several processes: the same estimate as one, and an end with a clear message when one of them is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from carom.gradients import Autodiff, Distributed, GradientError, Smoothing, Softened, join_processes

from .distributed_worker import CASES, THETA, cost

WORKER = str(Path(__file__).with_name("distributed_worker.py"))
LIMIT = 240.0  # s; a hang is a failure. Far more than a busy machine needs to start a few interpreters


@pytest.fixture(scope="module")
def alone():
    return {name: case.estimate(cost, THETA, seed=5) for name, case in CASES.items()}


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 4])
def test_same_estimate_on_any_number_of_processes(size, alone, tmp_path):
    """To rounding of the sums; and every process has the same to the bit."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    done = subprocess.run([*command, WORKER, "values", str(tmp_path)], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    answers = [torch.load(tmp_path / f"{rank}.pt") for rank in range(size)]
    for name, estimate in alone.items():
        value, gradient, error, evaluations = answers[0]["numbers"][name]
        torch.testing.assert_close(value, estimate.value, rtol=1e-14, atol=0)
        torch.testing.assert_close(gradient, estimate.gradient, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(error, estimate.standard_error, rtol=1e-8, atol=1e-12)
        assert evaluations == estimate.evaluations
        for other in answers[1:]:
            assert torch.equal(other["numbers"][name][1], gradient)
            assert torch.equal(other["numbers"][name][2], error)
    last = size - 1
    if size == 1:
        return
    for rank, answer in enumerate(answers):
        broken, mismatch = answer["heard"]
        if rank == last:
            assert broken == "ZeroDivisionError: nothing to divide by"
        else:
            assert f"process {last} of {size} failed" in broken
            assert "ZeroDivisionError: nothing to divide by" in broken
        assert "process 1 called estimate with another backend, theta or seed than process 0" in mismatch
        # an estimate that failed leaves the processes in step
        torch.testing.assert_close(answer["again"], alone["pairs"].gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("how", ["kill", pytest.param("hang", marks=pytest.mark.slow)])
def test_a_lost_process_ends_the_run(how):
    """Without torchrun, which would stop the others itself: they end on their own, and say whom they miss."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in range(3):
        shared = {"WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        place = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        command = [sys.executable, WORKER, how]
        processes.append(subprocess.Popen(command, env=place, stderr=subprocess.PIPE, text=True))
    try:
        for rank in (0, 2):
            message = processes[rank].communicate(timeout=LIMIT)[1]
            assert processes[rank].returncode == 1
            assert "GradientError: a process of this run was lost" in message
            assert "Ranks 1 failed" in message
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_alone():
    """Without torchrun the script is the only process, and nothing is exchanged."""
    with join_processes() as processes:
        assert (processes.rank, processes.size, processes.backend) == (0, 1, processes.backend)
        assert processes.threads >= 1
        estimate = Distributed(CASES["matrix"], processes).estimate(cost, THETA, seed=5)
    expected = CASES["matrix"].estimate(cost, THETA, seed=5)
    torch.testing.assert_close(estimate.gradient, expected.gradient, rtol=1e-12, atol=1e-12)


class Begun:
    """A run of something else."""

    units = 4


class Foreign:
    """A backend with a method of the name that sharing out needs, for a purpose of its own."""

    def start_run(self, objective, theta, *, seed=0):
        return Begun()


def test_refusals(monkeypatch):
    with join_processes() as processes:
        with pytest.raises(GradientError, match="whose samples can be shared out"):
            Distributed(Autodiff(), processes)
        with pytest.raises(GradientError, match="whose samples can be shared out"):
            Distributed(Softened(), processes)
        with pytest.raises(GradientError, match="join_processes"):
            Distributed(Smoothing(), None)
        with pytest.raises(GradientError, match="returned Begun, which lacks measure, empty, finish"):
            Distributed(Foreign(), processes).estimate(cost, THETA)
    with pytest.raises(GradientError, match="Did you mean 'gloo'"), join_processes("glo"):
        pass
    with pytest.raises(GradientError, match=r"timeout is 0\.0"), join_processes(timeout=0.0):
        pass
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(GradientError, match=r"WORLD_SIZE='two'.*torchrun"), join_processes():
        pass
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(GradientError, match=r"has 0 CUDA devices.*gloo"), join_processes("nccl"):
        pass

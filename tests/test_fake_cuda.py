"""The CUDA device that is not there refuses what a real one would; with ``--fake-cuda`` alone."""

import pytest
import torch
from scenes import push, push_targets

from carom.sim import Simulator
from carom.sim.stepping import batch_pool, launch_graphs, simulator
from carom.sim.stepping.contact_solver import Solver


@pytest.fixture(autouse=True)
def faked(request, device):
    if not request.config.getoption("--fake-cuda"):
        pytest.skip("needs --fake-cuda")


def refusal(words):
    from fake_cuda import FakeCudaError

    return pytest.raises(FakeCudaError, match=words)


def test_devices_do_not_mix(device):
    there, here = torch.ones(3, device=device), torch.ones(3)
    assert there.device == torch.device("cuda:0")
    assert there.is_cuda
    with refusal("of the CPU"):
        there + here
    with refusal("numpy"):
        there.numpy()
    with refusal("indexed by"):
        here[torch.zeros(1, dtype=torch.int64, device=device)]
    assert (there.cpu() + here).tolist() == [2.0, 2.0, 2.0]


def test_a_default_device_of_torch_is_this_one(device):
    with torch.device(device):
        assert torch.ones(3).is_cuda
        assert not torch.ones(3, device="cpu").is_cuda


def rolled(device, backward=False):
    made = Simulator(push().finalize(device=device, dtype="float64"), step=0.01, threads=1)
    control = push_targets(4).to(device).requires_grad_(backward)
    final = made.rollout(made.model.state(), control).final.body_q
    if backward:
        final.sum().backward()


def test_nothing_is_read_back_while_a_graph_is_recorded(device, monkeypatch):
    real = Solver.solve

    def solve(self, *args, **options):
        self.arrays.dof_index.numpy()
        return real(self, *args, **options)

    monkeypatch.setattr(Solver, "solve", solve)
    with refusal("while a graph is recorded"):
        rolled(device)


@pytest.mark.parametrize(
    "where", ["launch_graphs.hand_to_warp", "launch_graphs.hand_to_torch", "batch_pool.hand_to_torch"]
)
def test_streams_that_do_not_wait_for_each_other(device, where, monkeypatch):
    module, name = where.split(".")
    rolled(device, backward=True)
    monkeypatch.setattr({"launch_graphs": launch_graphs, "batch_pool": batch_pool}[module], name, lambda device: None)
    with refusal("did not wait"):
        rolled(device, backward=True)


def test_zeros_of_warp_under_seeds_of_torch(device, monkeypatch):
    made = Simulator(push().finalize(device=device, dtype="float64"), step=0.01, threads=1)
    control = push_targets(4).to(device).requires_grad_()
    final = made.rollout(made.model.state(), control).final.body_q
    made.rollout(made.model.state(), control).final.body_q.sum().backward()
    (only,) = made.pool.batches
    ours = only.batch.adj_q
    monkeypatch.setattr(simulator, "_zero", lambda view: ours.zero_())
    with refusal("did not wait"):
        final.sum().backward()

"""The processes of one run, as torchrun starts them, and exchanges between them that fail clearly and do not hang."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from ...plain import plain_numbers
from ..core.checks import suggest
from ..core.errors import GradientError

__all__ = ["Processes", "join_processes"]

BACKENDS = ("gloo", "nccl")
_LINGER = 1.0  # s that process 0 waits after an error, so that the others can read its store
_NOTE = "carom/lost"  # key of the store under which a process writes the fault that it found


@dataclass(frozen=True)
class Processes:
    """This process among those of the run; made by :func:`join_processes`."""

    rank: int
    """Number of this process, from 0."""
    size: int
    """Number of processes."""
    device: str
    """Device on which this process should simulate: ``"cuda:<local rank>"`` with nccl, else ``"cpu"``."""
    backend: str
    """``"gloo"`` or ``"nccl"``."""
    timeout: float
    """Longest wait for another process [s]."""
    threads: int = 1
    """Cores of this machine for this process: those it may use, over the processes here; pass it to a simulator."""
    control: Any = None
    """Group over gloo for everything but tensors; None in a single process."""

    def meet(self) -> None:
        """Wait until all processes are here.

        Raises:
            GradientError: A process has ended or did not come within ``timeout``; the message names it.
        """
        if self.size > 1:
            # Process 0 alone can name the missing process: it gives up first, and the others read its message.
            longest = self.timeout if self.rank == 0 else 1.2 * self.timeout + 5.0
            with self._watched("meet the others"):
                dist.monitored_barrier(self.control, timedelta(seconds=longest), wait_all_ranks=True)

    def exchange(self, thing: Any) -> list[Any]:
        """A small picklable thing of every process, in the order of ranks."""
        if self.size == 1:
            return [thing]
        things: list[Any] = [None] * self.size
        with self._watched("exchange messages"):
            dist.all_gather_object(things, thing, group=self.control)
        return things

    def gather(self, tensors: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
        """Float64 tensors of every process, of the same shapes in each, in the order of ranks."""
        if self.size == 1:
            return [list(tensors)]
        flat = torch.cat([tensor.reshape(-1).double() for tensor in tensors])
        flat = flat.to(self.device if self.backend == "nccl" else "cpu").contiguous()
        parts = [torch.empty_like(flat) for _ in range(self.size)]
        with self._watched("gather results"):
            dist.all_gather(parts, flat)
        sizes = [tensor.numel() for tensor in tensors]
        return [
            [piece.view(like.shape).to(like) for piece, like in zip(part.split(sizes), tensors, strict=True)]
            for part in parts
        ]

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            found = _first_note(f"process {self.rank} of {self.size} could not {what}: {_short(error)}")
            raise GradientError(
                f"a process of this run was lost or took more than {self.timeout:g} s longer than the others. {found}. "
                "See the output of the process that is named; if it was only slow, pass a longer timeout to "
                "join_processes"
            ) from error


@plain_numbers
@contextmanager
def join_processes(backend: str | None = None, *, timeout: float = 600.0) -> Iterator[Processes]:
    """The processes of this run, for the length of a ``with`` block.

    Started by ``torchrun`` (which sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT) they join; a
    script started without it is the only one. Leave by an exception and the others learn of it at their next exchange.

    Args:
        backend: ``"gloo"`` for CPUs, ``"nccl"`` for CUDA with a device for every process of a machine; by default
            nccl where there are enough devices, else gloo.
        timeout: Longest wait for another process [s]: longer than the slowest share of an estimate may take. A
            process that *ends* is noticed at once, one that hangs after this time.

    Raises:
        GradientError: Unknown backend, no device for this process, the processes do not find each other.
    """
    if backend is not None and backend not in BACKENDS:
        raise GradientError(suggest("backend", backend, BACKENDS))
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0.0 < timeout < math.inf:
        raise GradientError(f"timeout is {timeout!r}: give a positive number of seconds")
    rank, size, local = (_from_environment(name, least) for name, least in _VARIABLES.items())
    devices = torch.cuda.device_count()
    backend = backend or ("nccl" if local < devices and dist.is_nccl_available() else "gloo")
    device = f"cuda:{local}" if backend == "nccl" else "cpu"
    if backend == "nccl":
        if local >= devices:
            raise GradientError(
                f"process {rank} is number {local} on its machine, which has {devices} CUDA devices, and nccl needs "
                'one for each: start fewer with --nproc-per-node, or use backend="gloo"'
            )
        torch.cuda.set_device(local)
    if size == 1 and "RANK" not in os.environ:
        yield Processes(0, 1, device, backend, float(timeout), _cores())
        return
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        control = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        raise GradientError(
            f"process {rank} of {size} did not find the others within {timeout:g} s: {_short(error)}. Start them with "
            "torchrun, all with the same number of processes"
        ) from error
    store = dist.distributed_c10d._get_default_store()
    try:
        here = _from_environment("LOCAL_WORLD_SIZE", 1)
        yield Processes(rank, size, device, backend, float(timeout), max(1, _cores() // here), control)
    except BaseException:
        dist.destroy_process_group()
        if rank == 0:  # the store may live here: let the others read what was found
            time.sleep(_LINGER)
        del store
        raise
    dist.destroy_process_group()


_VARIABLES = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}
"""Variables that torchrun sets, and the value of a script on its own, which is also the least."""


def _from_environment(name: str, least: int) -> int:
    given = os.environ.get(name, str(least))
    if not given.isdigit() or int(given) < least:
        raise GradientError(f"the environment has {name}={given!r}: start the script with torchrun, or unset {name}")
    return int(given)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first_note(finding: str) -> str:
    """Store the finding for the others and return the first one stored, which is nearest to the cause."""
    try:
        store = dist.distributed_c10d._get_default_store()
        if store.check([_NOTE]):
            first = store.get(_NOTE).decode()
            return finding if first == finding else f"{finding}; before that, {first}"
        store.set(_NOTE, finding)
    except RuntimeError:  # the store went with the process that held it
        pass
    return finding


def _short(error: Exception) -> str:
    """The first sentence of an error, without its place in the library: what follows is advice and a stack."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[[^\]]*\]:?\s*", "", line).split(". ")[0].rstrip(".")

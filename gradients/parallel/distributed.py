"""One estimate by several processes or GPUs: each takes a range of the samples, all get the same answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from ..core.arrays import as_theta
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from .processes import Processes

__all__ = ["Distributed", "Shareable"]


@runtime_checkable
class Shareable(Protocol):
    """A backend whose work splits into numbered units, e.g. :class:`Smoothing`."""

    def start_run(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Any:
        """Work with ``units``, ``measure(first, count)``, ``empty()`` and ``finish(moments)``."""
        ...


@dataclass(frozen=True)
class Distributed:
    """``backend`` with its samples shared out over ``processes``.

    Example::

        with join_processes() as processes:  # torchrun --nproc-per-node 2 script.py
            task = carom.envs.make("push", device=processes.device, threads=processes.threads)
            estimate = Distributed(Smoothing(samples=100_000), processes).estimate(task, theta, seed=0)

    Sample k is the same whichever process draws it; each process takes one range of them, and the moments of all are
    merged in float64 in the order of ranks, by every process. So every process returns the same estimate to the bit,
    and the same seed gives the same estimate on any number of processes up to rounding of the sums (and of the
    objective, where its rows depend on how many there are).

    Every process calls ``estimate`` with the same arguments, as often and in the same order. A failure in one
    is raised in all of them: an exception of the objective, a call that differs from the others', a process that ends
    or hangs.

    On CPUs the processes share the cores: give each its part (``threads=processes.threads`` for
    the simulator; torchrun leaves torch one thread each).
    """

    backend: Shareable
    """Backend that is shared out: a :class:`Smoothing`."""
    processes: Processes
    """Processes, from :func:`join_processes`."""

    def __post_init__(self) -> None:
        if isinstance(self.backend, type) or not isinstance(self.backend, Shareable):
            raise GradientError(
                f"the backend is {self.backend!r}: give one whose samples can be shared out, e.g. "
                "Smoothing(samples=1024)"
            )
        if not isinstance(self.processes, Processes):
            raise GradientError(
                f"processes is {self.processes!r}: give what join_processes() yields, "
                "`with join_processes() as processes:`"
            )

    def estimate(
        self,
        objective: Objective,
        theta: torch.Tensor,
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Estimate:
        """The backend's estimate; ``progress(done, total)`` counts this process's share only."""
        rank, size = self.processes.rank, self.processes.size
        run = moments = None
        problem: Exception | None = None
        call = ""
        try:
            theta = as_theta(theta)
            run = self.backend.start_run(objective, theta, seed=seed)
            _check_run(self.backend, run)
            call = _fingerprint(self.backend, theta, seed)
            first, end = (run.units * r // size for r in (rank, rank + 1))
            moments = run.measure(first, end - first, progress=progress)
        except Exception as error:
            problem = error
        self.processes.meet()
        answers = self.processes.exchange((call, None if problem is None else f"{type(problem).__name__}: {problem}"))
        if problem is not None:
            raise problem
        for other, (_, failure) in enumerate(answers):
            if failure is not None:
                raise GradientError(f"process {other} of {size} failed, so there is no estimate: {failure}")
        for other, (theirs, _) in enumerate(answers):
            if theirs != answers[0][0]:
                raise GradientError(
                    f"process {other} called estimate with another backend, theta or seed than process 0: all must "
                    "make the same calls in the same order"
                )
        assert run is not None
        assert moments is not None
        merged = run.empty()
        for tensors in self.processes.gather(moments.tensors()):
            merged = merged.merge(run.empty().load(tensors))
        return run.finish(merged)[0]


def _check_run(backend: object, run: Any) -> None:
    lacking = [name for name in ("units", "measure", "empty", "finish") if not hasattr(run, name)]
    if lacking:
        raise GradientError(
            f"start_run of {backend!r} returned {type(run).__name__}, which lacks {', '.join(lacking)}: give a backend "
            "whose samples can be shared out, e.g. Smoothing(samples=1024)"
        )


def _fingerprint(backend: object, theta: torch.Tensor, seed: int) -> str:
    numbers = theta.detach().double().cpu().contiguous().numpy().tobytes()
    # The default repr of an object has its address, which differs between processes.
    call = re.sub(r"\b0x[0-9a-f]+\b", "", repr((backend, tuple(theta.shape), seed)))
    return hashlib.sha256(call.encode() + numbers).hexdigest()

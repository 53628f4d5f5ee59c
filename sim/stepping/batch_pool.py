"""Any number of worlds, run block by block through batches of worlds on several threads."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import torch

from ..scene.model import Model
from ..streams import hand_to_torch, hand_to_warp
from . import capacity
from .launch_graphs import LaunchGraphs
from .options import SimulatorOptions
from .passes import Pass
from .recording_lock import launching

__all__ = ["BatchPool"]

WIDEST_BATCH = 128
"""Most worlds of a batch on the CPU: small enough for the cache, large enough to hide the cost of a launch."""

WIDEST_BATCH_CUDA = 65536

HESSIAN_BYTES = 2**28
"""Bound on the Hessians of a batch [bytes]; scenes of many bodies get narrow batches."""

CONTACT_BYTES = 2**30
"""Bound on the contact arrays of a batch on the CPU [bytes], at about 1024 bytes for each contact of the capacity."""


class BatchPool:
    """Batches of worlds of a model and their graphs, made as they are needed.

    Args:
        model: The scene.
        options: Of the simulator.
        contact_capacity: Contacts that a world can hold; grows where a world meets more.
    """

    def __init__(self, model: Model, options: SimulatorOptions, contact_capacity: int):
        self.model, self.options, self.contact_capacity = model, options, contact_capacity
        self.threads = options.threads or _cores()
        self._on_cpu = model.device == "cpu"
        self._batches: dict[int, list[LaunchGraphs]] = {}
        self._lock = threading.Lock()

    @property
    def batches(self) -> list[LaunchGraphs]:
        """All batches that were made."""
        return [one for same_width in self._batches.values() for one in same_width]

    def _width(self, worlds: int) -> int:
        """Worlds that a batch holds."""
        if self._on_cpu:
            share = -(-worlds // self.threads)
            widest = min(WIDEST_BATCH, CONTACT_BYTES // (1024 * self.contact_capacity))
        else:
            share, widest = worlds, WIDEST_BATCH_CUDA
        hessian = 8 * int(self.model.body_free.sum()) ** 2
        return max(1, min(widest, HESSIAN_BYTES // max(1, hessian), 1 << max(0, share - 1).bit_length()))

    def run(self, worlds: int, graphs: list[tuple[Pass, int]], block: Any, parts: list[tuple[int, int]]) -> None:
        """Run ``block(graphs, start, stop)``, which replays recorded ``graphs``, over all worlds, on several threads.

        Every block lies within one of the ``parts``, (start, stop). Blocks that exceed the contact capacity are run
        again from their start in batches of larger capacity.
        """
        blocks = parts
        worst: capacity.CapacityExceeded | None = None
        with self._lock:  # batches are not shared between callers
            before = self.contact_capacity
            while True:
                width = self._width(worlds)
                blocks = [(i, min(i + width, stop)) for start, stop in blocks for i in range(start, stop, width)]
                try:
                    batches = self._recorded(width, min(len(blocks), self.threads if self._on_cpu else 1), graphs)
                except (MemoryError, RuntimeError) as error:
                    if worst is None or not (isinstance(error, MemoryError) or "alloc" in str(error)):
                        raise
                    larger, self.contact_capacity = self.contact_capacity, before
                    self._batches.clear()
                    raise capacity.no_memory(worst, larger, width, error) from error
                outcomes = self._run(batches, blocks, block)
                short = [outcome for outcome in outcomes if outcome is not None]
                if not short:
                    break
                blocks = [one for one, outcome in zip(blocks, outcomes, strict=True) if outcome is not None]
                worst = max(short, key=lambda outcome: outcome.needed)
                self.contact_capacity = capacity.larger(self.model, self.options, self.contact_capacity, worst)
                self._batches.clear()
        if worst is not None:
            capacity.warn_of_growth(before, self.contact_capacity, worst)

    def _recorded(self, width: int, wanted: int, graphs: list[tuple[Pass, int]]) -> list[LaunchGraphs]:
        """Return ``wanted`` batches that are ready to run these graphs."""
        batches = self._batches.setdefault(width, [])
        with launching():
            while len(batches) < wanted:
                batches.append(LaunchGraphs(self.model, self.options, width, self.contact_capacity))
            for graphs_ in batches[:wanted]:
                for graph in dict.fromkeys(graphs):
                    graphs_.prepare(*graph)
        return batches[:wanted]

    def _run(
        self, batches: list[LaunchGraphs], blocks: list[tuple[int, int]], block: Any
    ) -> list[capacity.CapacityExceeded | None]:
        """Run all blocks; return for each the exception of a capacity that was exceeded, or None."""

        def run(graphs: LaunchGraphs, one: tuple[int, int]) -> capacity.CapacityExceeded | None:
            try:
                with launching():  # not around the wait for other threads, one of which may want to record
                    block(graphs, *one)
            except capacity.CapacityExceeded as outcome:
                return outcome
            return None

        if len(batches) <= 1:
            hand_to_torch(self.model.device)
            try:
                return [run(batches[0], one) for one in blocks]
            finally:  # a later call may come on another stream of torch, and Warp may free the buffers
                hand_to_warp(self.model.device)
        free: SimpleQueue[LaunchGraphs] = SimpleQueue()
        for graphs_ in batches:
            free.put(graphs_)

        @torch.no_grad()  # the mode belongs to a thread
        def work(one: tuple[int, int]) -> capacity.CapacityExceeded | None:
            graphs_ = free.get()
            try:
                return run(graphs_, one)
            finally:
                free.put(graphs_)

        with ThreadPoolExecutor(len(batches)) as pool:
            return list(pool.map(work, blocks))


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

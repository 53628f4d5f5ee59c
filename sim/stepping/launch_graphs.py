"""Launches over a batch of worlds: one by one at first, later as graphs, one for each pass and number of steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import warp as wp

from ..scene.model import Model
from ..streams import hand_to_torch, hand_to_warp
from .contact_stage import ContactStage
from .impact_steps import ImpactSteps
from .options import SimulatorOptions
from .passes import Kind, Pass
from .plain_steps import PlainSteps, find_overlap
from .recording_lock import recording
from .slip_steps import SlipSteps
from .world_batch import WorldBatch

__all__ = ["LaunchGraphs"]

STEPS_BEFORE_RECORDING = 256
"""Steps of a pass that are launched one by one before its graphs are recorded, on the CPU."""

RUNS_BEFORE_RECORDING = 16
"""Runs of a length, whatever it is, before its graph is recorded."""


class LaunchGraphs:
    """A batch of worlds and the graphs that run over it.

    Args:
        model: The scene.
        options: Of the simulator.
        width: Worlds.
        capacity: Contacts that each can hold.
    """

    def __init__(self, model: Model, options: SimulatorOptions, width: int, capacity: int):
        self.batch = WorldBatch(model, options, width, capacity)
        self.options = options
        self.recorded: dict[tuple[Pass, int], Any] = {}
        self._functions: dict[Pass, Callable[[int], None]] = {}
        self._runs: Counter[tuple[Pass, int]] = Counter()
        self._steps: Counter[Pass] = Counter()
        self._slips: dict[tuple[bool, bool], SlipSteps] = {}
        self._impacts: dict[tuple[bool, bool], ImpactSteps] = {}

    def prepare(self, work: Pass, steps: int) -> None:
        """Make ready to run a pass over ``steps`` steps. Not to be called from two threads at once.

        On CUDA its graph is recorded; on the CPU when it has run for a while (see ``run``).
        """
        if work not in self._functions:
            with recording():  # alone, as another thread may be about to load the same kernels, or be recording
                launches = self._launches(work)
                self.batch.loads_kernels = True
                try:
                    launches(1)  # writes only buffers that are filled before each run
                finally:
                    self.batch.loads_kernels = False
            self._functions[work] = launches
        if self.batch.device != "cpu" and (work, steps) not in self.recorded:
            self._record(work, steps)

    def run(self, work: Pass, steps: int) -> None:
        """Run a prepared pass over ``steps`` steps.

        A recording costs as much as several hundred steps launched one by one. So on the CPU it waits for as many.
        """
        hand_to_warp(self.batch.device)
        graph = self.recorded.get((work, steps))
        if graph is None:
            self._runs[work, steps] += 1
            self._steps[work] += steps
            runs = self._runs[work, steps]
            if runs > RUNS_BEFORE_RECORDING or (runs > 1 and self._steps[work] > STEPS_BEFORE_RECORDING):
                graph = self._record(work, steps)
        if graph is None:
            self._functions[work](steps)
        else:
            wp.capture_launch(graph)
        hand_to_torch(self.batch.device)

    def _record(self, work: Pass, steps: int) -> Any:
        with recording(), wp.ScopedCapture(device=self.batch.device) as capture:
            self.batch.recording = True
            try:
                self._functions[work](steps)
            finally:
                self.batch.recording = False
        self.recorded[work, steps] = capture.graph
        return capture.graph

    def _launches(self, work: Pass) -> Callable[[int], None]:
        """Function that launches a pass over a number of steps, with its buffers allocated."""
        batch, softening = self.batch, self.options.softening
        stage = batch.stage(work.resists, softening.backward if work.is_backward else softening.forward)
        if work.kind is Kind.OVERLAP:
            return lambda steps: find_overlap(batch, stage)
        if work.is_backward:
            batch.add_adjoints()
        if work.kind is Kind.FORCES:
            batch.add_forces()
        steps_of = self._impact_steps(stage, work) if work.impacts else self._plain_steps(stage, work)
        if work.kind is Kind.FORCES:
            return lambda steps: steps_of.forces()
        return steps_of.backward if work.is_backward else steps_of.forward

    def _impact_steps(self, stage: ContactStage, work: Pass) -> ImpactSteps:
        if stage.key not in self._impacts:
            self._impacts[stage.key] = ImpactSteps(self.batch, stage)
        found = self._impacts[stage.key]
        if work.is_backward:
            found.add_adjoints()
        if work.kind is Kind.FORCES:
            found.rounds.keep_rounds()
        return found

    def _plain_steps(self, stage: ContactStage, work: Pass) -> PlainSteps:
        if not self.batch.resolves_slip:
            return PlainSteps(self.batch, stage, None, None)
        slips, found = self._slip_steps(stage), None
        if work.is_backward:
            slips.add_adjoints()
            found = self._slip_steps(self.batch.stage(work.resists, self.options.softening.forward))
        return PlainSteps(self.batch, stage, slips, found)

    def _slip_steps(self, stage: ContactStage) -> SlipSteps:
        if stage.key not in self._slips:
            self._slips[stage.key] = SlipSteps(self.batch, stage)
        return self._slips[stage.key]

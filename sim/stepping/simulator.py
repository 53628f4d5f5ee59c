"""The simulator: steps and rollouts of many worlds, and their exact gradients."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ...first_order import eager, refuse_transforms
from ..errors import ModelError
from ..scene.model import PARAMETERS, Model
from ..state import Diagnostics, State, Trajectory
from ..streams import hand_to_torch, hand_to_warp
from . import capacity, checks
from . import torch_rollout as autodiff
from .launch_graphs import Lane, default_capacity, look_ahead
from .options import SimulatorOptions
from .parameter_bounds import warn_of_bounds

__all__ = ["Simulator"]

WIDEST_LANE = 128
"""Worlds a lane holds on the CPU: small enough for the cache, large enough to hide the cost of a launch."""

WIDEST_LANE_CUDA = 65536

_OWN = ("threads", "watchers", "told", "_lanes", "_lock")
"""What a copy of a simulator makes anew."""

RESISTANCES = ("shape_rolling_resistance", "shape_torsional_resistance")

HESSIAN_BYTES = 2**28
"""Bound on the Hessians that a lane holds [bytes]: scenes of many bodies get narrow lanes."""

CONTACT_BYTES = 2**30
"""The same of what belongs to contacts, at about 1024 bytes for each that there is room for, on the CPU."""


class Simulator:
    """Steps worlds of a model.

    The contact model is the implicit convex one of ``docs/contact.md``; the gradient the implicit adjoint. A forward
    result is the same to the bit whether or not a gradient is asked for, and does not depend on how many other worlds
    run beside it or on the number of threads.

    Args:
        model: The scene.
        **options: See ``SimulatorOptions``.

    A simulator can be pickled and deep-copied, and whatever holds one can: scene and options travel, buffers and
    graphs are made anew where they are first used. A copy gives the same numbers to the bit.
    """

    def __init__(self, model: Model, **options: Any):
        if not isinstance(model, Model):
            raise ModelError(f"Simulator needs a finished model, got {type(model).__name__}; pass builder.finalize()")
        self.model = model
        self.options = SimulatorOptions(**options)
        self.on_cpu = model.device == "cpu"
        self.contact_capacity = self.options.contact_capacity or default_capacity(
            model, self.options.softening.backward
        )
        self.options.softening.of_shapes(model)  # refuses names of shapes that there are not
        self._start_afresh()

    def _start_afresh(self) -> None:
        """What belongs to this process alone: buffers, graphs, who uses them, and its cores."""
        self.threads = self.options.threads or _cores()
        self.watchers: list[Callable[[State, torch.Tensor, dict[str, torch.Tensor]], None]] = []
        """Called with the checked inputs of every rollout: state, controls, parameters. See ``unroll``."""
        self.told: set[str] = set()
        """Warnings that are given once."""
        self._lanes: dict[int, list[Lane]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: all but what :meth:`_start_afresh` makes."""
        return {name: value for name, value in self.__dict__.items() if name not in _OWN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start_afresh()

    @property
    def step_size(self) -> float:
        """Step [s]."""
        return self.options.step

    def step(
        self, state: State, control: torch.Tensor | None = None, parameters: Mapping[str, torch.Tensor] | None = None
    ) -> State:
        """State after one step.

        Args:
            state: W worlds; W is the model's number of worlds, or any if the model has one.
            control: Targets or forces of the actuators, [W, A]; may be left out if the model has none.
            parameters: As in ``rollout``.
        """
        control = control.unsqueeze(0) if isinstance(control, torch.Tensor) else control  # others are refused below
        return self.rollout(state, control, parameters, steps=1, record=False).final

    @eager
    def rollout(
        self,
        state: State,
        control: torch.Tensor | None = None,
        parameters: Mapping[str, torch.Tensor] | None = None,
        *,
        steps: int | None = None,
        record: bool = True,
    ) -> Trajectory:
        """Simulate T steps of W worlds. Differentiable by torch with respect to every tensor given, once.

        Only the states are stored for the backward pass; contacts and solves are recomputed there.

        Args:
            state: Initial state; W is the model's number of worlds, or any if the model has one.
            control: Controls of every step, [T, W, A]; units are those of the actuators.
            parameters: Physical parameters that replace the model's, by name (see ``PARAMETERS``), each of the
                model's shape or with a leading W. Each stands for itself: a mass leaves the inertia as it is.
            steps: T where there are no controls.
            record: Whether the trajectory keeps all states or only the last.

        Raises:
            StateError: A wrong shape, a value that is not finite, a mass that is not positive, an inertia that no body
                can have, a stiffness of zero.
            CapacityError: A world met more contacts than ``contact_capacity`` allows, where that was given.
            ConvergenceError: A step of a world did not reach the solver's tolerance.
            DerivativeError: A second derivative, one in forward mode, or a call inside torch.vmap.

        Warns:
            SimulationWarning: A gradient is asked for with respect to a coefficient at a value where it is zero and not
                the derivative from above; see "Gradients at a bound" in ``docs/contact.md``.
        """
        given = (parameters or {}).values() if isinstance(parameters, Mapping) else ()
        both = (state.body_q, state.body_v) if isinstance(state, State) else ()
        refuse_transforms(autodiff.LIMITS, *both, control, *given)
        state, control, values = checks.rollout_inputs(self.model, state, control, parameters or {}, steps)
        checks.restitution(self.model, self.options, values)
        warn_of_bounds(self.model, values)
        checks.mass_alone(self.model, values, parameters or {}, self.told)
        checks.far_away(self.model, state.body_q, self.told)
        checks.turn_targets(self.model, control, self.told)
        for watcher in self.watchers:
            watcher(state, control, values)
        needs = any(x.requires_grad for x in (state.body_q, state.body_v, control, *values.values()))
        keep = record or (needs and torch.is_grad_enabled())
        if not (needs and torch.is_grad_enabled()):
            q, v, final_q, final_v, diagnostics, _ = self.run_forward(state.body_q, state.body_v, control, values, keep)
        else:
            box = SimpleNamespace()
            tensors = [values[name] for name in PARAMETERS]
            q, v, final_q, final_v = autodiff.Rollout.apply(
                self, box, record, state.body_q, state.body_v, control, values["shape_size"], *tensors
            )
            diagnostics = box.diagnostics
        return Trajectory(State(final_q, final_v), q if record else None, v if record else None, diagnostics)

    @eager
    @torch.no_grad()
    def run_forward(
        self, q0: torch.Tensor, v0: torch.Tensor, control: torch.Tensor, values: dict[str, torch.Tensor], keep: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor, torch.Tensor, Diagnostics, torch.Tensor | None]:
        """The rollout itself on checked, plain tensors.

        The last of the results says which steps took several solves (``kernels/contact/slip.py``), bool [T, W], for
        ``run_backward``; None, as the path, unless it is to be kept.
        """
        steps, worlds = control.shape[0], q0.shape[0]
        path_q = q0.new_empty((steps + 1, *q0.shape)) if keep else None
        path_v = v0.new_empty((steps + 1, *v0.shape)) if keep else None
        staged = torch.zeros((steps, worlds), dtype=torch.bool, device=q0.device) if keep else None
        final_q, final_v = torch.empty_like(q0), torch.empty_like(v0)
        counts = torch.zeros((6, worlds), dtype=torch.float64, device="cpu")
        lengths = self._lengths(steps)
        forward = self._direction("forward", values)
        look = steps > 1 and not self.options.allow_overlap

        def block(lane: Lane, start: int, stop: int) -> None:
            n = stop - start
            self._load(lane, values, start, stop, forward)
            _fill(lane.q_view[0], q0[start:stop])
            _fill(lane.v_view[0], v0[start:stop])
            lane.clear_reports()
            lane.features.needed.zero_()
            if path_q is not None and path_v is not None:
                path_q[0, start:stop] = q0[start:stop]
                path_v[0, start:stop] = v0[start:stop]
            if look:
                lane.run("overlap", 1)
                capacity.check(lane, n, start)
                checks.overlap(self.model, lane, n, start)
            done = 0
            for count in lengths:
                if lane.control_view.shape[2]:
                    _fill(
                        lane.control_view[:count].transpose(0, 1),
                        control[done : done + count, start:stop].transpose(0, 1),
                    )
                lane.run(forward, count)
                done += count
                if path_q is not None and path_v is not None:
                    _copy(path_q[done - count + 1 : done + 1, start:stop], lane.q_view[1 : count + 1, :n])
                    _copy(path_v[done - count + 1 : done + 1, start:stop], lane.v_view[1 : count + 1, :n])
                if staged is not None:
                    staged[done - count : done, start:stop] = lane.staged_view[:count, :n] != 0
                if done < steps:
                    capacity.check(lane, n, start)
                    lane.q_view[0] = lane.q_view[count]
                    lane.v_view[0] = lane.v_view[count]
            last = (steps - 1) % lane.segment + 1 if steps else 0
            final_q[start:stop] = lane.q_view[last, :n]
            final_v[start:stop] = lane.v_view[last, :n]
            if look:
                lane.q_view[0] = lane.q_view[last]
                lane.v_view[0] = lane.v_view[last]
                lane.run("overlap", 1)
            capacity.check(lane, n, start)
            if look:
                counts[5, start:stop] = torch.from_numpy(lane.depth.numpy()[:n].astype("float64"))
                checks.sunk(self.model, lane, n, start)
            for i, array in enumerate((*lane.solver_outcome(), lane.features.needed.numpy())):
                counts[i, start:stop] = torch.from_numpy(array[:n].astype("float64"))

        self._each_block(worlds, [("overlap", 1)] * look + [(forward, n) for n in lengths], block)
        diagnostics = Diagnostics(
            iterations=counts[0].long(), steps=steps, failed_steps=counts[1].long(), first_failure=counts[2].long(),
            residual=counts[3], contacts=counts[4].long(), penetration=counts[5] if look else None,
        )  # fmt: skip
        checks.rollout_result(self.options, diagnostics, final_q, final_v)
        checks.spinning(self.model, self.options, values["body_inertia"], final_v)
        return path_q, path_v, final_q, final_v, diagnostics, staged

    @eager
    @torch.no_grad()
    def run_backward(
        self, path_q: torch.Tensor, path_v: torch.Tensor, control: torch.Tensor, values: dict[str, torch.Tensor],
        seeds: dict[str, torch.Tensor | None], wanted: frozenset[str] = frozenset(),
        staged: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Adjoints of initial state, controls and parameters, from those of the path and of the final state.

        ``staged`` is the last result of ``run_forward``; without it every step is solved again to find out.
        Those of resistance are exact where they are ``wanted`` by name or the scene has resistance, else zero.
        """
        steps, worlds = control.shape[0], path_q.shape[1]
        backward = self._direction("backward", values, wanted)
        out = {
            "q0": torch.zeros_like(path_q[0]),
            "v0": torch.zeros_like(path_v[0]),
            "control": torch.zeros_like(control),
        }
        out |= {
            name: torch.zeros((worlds, *values[name].shape[1:]), dtype=path_q.dtype, device=path_q.device)
            for name in PARAMETERS
        }

        def block(lane: Lane, start: int, stop: int) -> None:
            n = stop - start
            self._load(lane, values, start, stop, backward)
            lane.add_adjoints()
            for view in lane.adj_parameter_views.values():
                view.zero_()
            lane.adj_q_view.zero_()
            lane.adj_v_view.zero_()
            lane.features.needed.zero_()
            lane.clear_reports()

            def add(seed: torch.Tensor | None, target: torch.Tensor) -> None:
                if seed is not None:
                    target[..., :n, :, :] += seed[..., start:stop, :, :]

            lengths = self._lengths(steps)
            stops = [sum(lengths[: i + 1]) for i in range(len(lengths))]
            carry_q, carry_v = torch.zeros_like(lane.adj_q_view[0]), torch.zeros_like(lane.adj_v_view[0])
            add(seeds["final_q"], carry_q)
            add(seeds["final_v"], carry_v)
            for end, count in zip(reversed(stops), reversed(lengths), strict=True):
                first = end - count
                _fill(lane.q_view[: count + 1].transpose(0, 1), path_q[first : end + 1, start:stop].transpose(0, 1))
                _fill(lane.v_view[: count + 1].transpose(0, 1), path_v[first : end + 1, start:stop].transpose(0, 1))
                if lane.control_view.shape[2]:
                    _fill(lane.control_view[:count].transpose(0, 1), control[first:end, start:stop].transpose(0, 1))
                for view in (lane.adj_q_view, lane.adj_v_view, lane.adj_control_view):
                    _zero(view)  # by torch, as the seeds written next: Warp would do so on another stream
                lane.adj_q_view[count] = carry_q
                lane.adj_v_view[count] = carry_v
                for seed, view in ((seeds["path_q"], lane.adj_q_view), (seeds["path_v"], lane.adj_v_view)):
                    add(None if seed is None else seed[first + 1 : end + 1], view[1 : count + 1])
                if staged is None:
                    lane.staged_view.fill_(1)
                    lane.any_staged_view.fill_(1)
                else:
                    _fill(lane.staged_view[:count].transpose(0, 1), staged[first:end, start:stop].T.to(torch.int32))
                    lane.any_staged_view[:count] = staged[first:end, start:stop].any(dim=1)
                lane.run(backward, count)
                carry_q.copy_(lane.adj_q_view[0])
                carry_v.copy_(lane.adj_v_view[0])
                _copy(out["control"][first:end, start:stop], lane.adj_control_view[:count, :n])
            for name, whole, carry in (("q0", seeds["path_q"], carry_q), ("v0", seeds["path_v"], carry_v)):
                add(None if whole is None else whole[0], carry)
                out[name][start:stop] = carry[:n]
            for name in PARAMETERS:
                out[name][start:stop] = lane.adj_parameter_views[name][:n]
            capacity.check(lane, n, start)
            checks.solved_again(
                self.options, lane, "the backward pass", lambda row, count: (start + min(row, n - 1), steps - 1 - count)
            )

        self._each_block(worlds, [(backward, n) for n in self._lengths(steps)], block)
        return out

    @eager
    @torch.no_grad()
    def run_forces(
        self, path_q: torch.Tensor, path_v: torch.Tensor, control: torch.Tensor, values: dict[str, torch.Tensor]
    ) -> dict[str, np.ndarray]:
        """Contacts and forces of every step of a finished rollout, as fields of a ``Recording``.

        Steps do not depend on each other here: every step of every world is a row of its own.
        """
        steps, worlds = control.shape[:2]
        states = (path_q[:-1], path_q[1:], path_v[:-1], path_v[1:])
        rows = [x.reshape(steps * worlds, *x.shape[2:]) for x in (*states, control)]
        numbers = np.arange(steps * worlds) % worlds
        forces = self._direction("forces", values)
        parts: dict[int, list[np.ndarray]] = {}

        def block(lane: Lane, start: int, stop: int) -> None:
            n = stop - start
            own = torch.as_tensor(numbers[start:stop], device=path_q.device)
            self._load(lane, {k: x if x.shape[0] == 1 else x[own] for k, x in values.items()}, 0, n, forces)
            views = (lane.q_view[0], lane.q_view[1], lane.v_view[0], lane.v_view[1], lane.control_view[0])
            for view, source in zip(views, rows, strict=True):
                if view.shape[1]:
                    _fill(view, source[start:stop])
            lane.features.needed.zero_()
            lane.clear_reports()
            lane.staged_view.fill_(1)
            lane.any_staged_view.fill_(1)
            lane.run(forces, 1)
            capacity.check(lane, n, start)
            checks.solved_again(
                self.options, lane, "reading the forces",
                lambda row, _: (int(numbers[start + min(row, n - 1)]), (start + min(row, n - 1)) // worlds),
            )  # fmt: skip
            parts[start] = _listed(lane, n)

        self._each_block(steps * worlds, [(forces, 1)], block)
        blocks = [parts[start] for start in sorted(parts)]
        joined = (np.concatenate(x) for x in zip(*blocks, strict=True))
        count, shape, point, normal, gap, force, torque, actuator = joined
        return {
            "actuator_force": actuator.reshape(steps, worlds, -1),
            "contact_start": np.concatenate([[0], np.cumsum(count)]),
            "contact_shape": shape,
            "contact_body": np.asarray(self.model.shape_body)[shape].astype(np.int32),
            "contact_point": point,
            "contact_normal": normal,
            "contact_gap": gap,
            "contact_force": force,
            "contact_torque": torque,
        }

    def _direction(self, direction: str, values: dict[str, torch.Tensor], wanted: frozenset[str] = frozenset()) -> str:
        """Which graphs to run.

        Those of steps with impacts only where a pair of shapes bounces; those with resistance only where a shape has
        some, or where the gradient with respect to it is wanted: at a coefficient of zero that is not zero.
        """
        bounces = values["shape_restitution"] > 0.0
        pairs = torch.as_tensor(self.model.pairs, dtype=torch.long, device=bounces.device)
        if bool(bounces[:, pairs].all(dim=2).any()):
            direction = f"impact_{direction}"
        if any(name in wanted or bool(values[name].any()) for name in RESISTANCES):
            direction = f"resisting_{direction}"
        return direction

    def _lengths(self, steps: int) -> list[int]:
        whole, rest = divmod(steps, self.options.segment)
        return [self.options.segment] * whole + ([rest] if rest else [])

    def _load(self, lane: Lane, values: dict[str, torch.Tensor], start: int, stop: int, direction: str) -> None:
        for name, view in lane.parameter_views.items():
            value = values[name]
            _fill(view, value if value.shape[0] == 1 else value[start:stop])
        reach = look_ahead(values, self.options.step, direction.startswith("resisting"))
        _fill(lane.reach_view, reach if reach.shape[0] == 1 else reach[start:stop])

    def _width(self, worlds: int) -> int:
        """Worlds that a lane holds."""
        if self.on_cpu:
            share = -(-worlds // self.threads)
            widest = min(WIDEST_LANE, CONTACT_BYTES // (1024 * self.contact_capacity))
        else:
            share, widest = worlds, WIDEST_LANE_CUDA
        hessian = 8 * int(self.model.body_free.sum()) ** 2
        return max(1, min(widest, HESSIAN_BYTES // max(1, hessian), 1 << max(0, share - 1).bit_length()))

    def _each_block(self, worlds: int, graphs: list[tuple[str, int]], block: Any) -> None:
        """Run ``block(lane, start, stop)``, which replays ``graphs``, over all worlds, on several threads.

        Blocks that run out of room for contacts are run again, from their start, in lanes that have it.
        """
        blocks = [(0, worlds)]
        worst: capacity.OutOfRoom | None = None
        with self._lock:  # lanes are not shared between callers
            before = self.contact_capacity
            while True:
                width = self._width(worlds)
                blocks = [(i, min(i + width, stop)) for start, stop in blocks for i in range(start, stop, width)]
                try:
                    lanes = self._recorded(width, min(len(blocks), self.threads if self.on_cpu else 1), graphs)
                except (MemoryError, RuntimeError) as error:
                    if worst is None or not (isinstance(error, MemoryError) or "alloc" in str(error)):
                        raise
                    room, self.contact_capacity = self.contact_capacity, before
                    self._lanes.clear()
                    raise capacity.no_memory(worst, room, width, error) from error
                outcomes = self._run_blocks(lanes, blocks, block)
                short = [outcome for outcome in outcomes if outcome is not None]
                if not short:
                    break
                blocks = [one for one, outcome in zip(blocks, outcomes, strict=True) if outcome is not None]
                worst = max(short, key=lambda outcome: outcome.needed)
                self.contact_capacity = capacity.grown(self.model, self.options, self.contact_capacity, worst)
                self._lanes.clear()
        if worst is not None:
            capacity.tell(before, self.contact_capacity, worst)

    def _recorded(self, width: int, wanted: int, graphs: list[tuple[str, int]]) -> list[Lane]:
        """As many lanes as wanted, in which these graphs are recorded."""
        lanes = self._lanes.setdefault(width, [])
        while len(lanes) < wanted:
            lanes.append(Lane(self.model, self.options, width, self.contact_capacity))
        for lane in lanes[:wanted]:
            for graph in dict.fromkeys(graphs):
                lane.record(*graph)
        return lanes[:wanted]

    def _run_blocks(
        self, lanes: list[Lane], blocks: list[tuple[int, int]], block: Any
    ) -> list[capacity.OutOfRoom | None]:
        """Run all blocks; which of them ran out of room."""

        def run(lane: Lane, one: tuple[int, int]) -> capacity.OutOfRoom | None:
            try:
                block(lane, *one)
            except capacity.OutOfRoom as outcome:
                return outcome
            return None

        if len(lanes) <= 1:
            hand_to_torch(self.model.device)
            try:
                return [run(lanes[0], one) for one in blocks]
            finally:  # a later call may come on another stream of torch, and Warp may free the buffers
                hand_to_warp(self.model.device)
        free: SimpleQueue[Lane] = SimpleQueue()
        for lane in lanes:
            free.put(lane)

        @torch.no_grad()  # the mode is a thread's own
        def work(one: tuple[int, int]) -> capacity.OutOfRoom | None:
            lane = free.get()
            try:
                return run(lane, one)
            finally:
                free.put(lane)

        with ThreadPoolExecutor(len(lanes)) as pool:
            return list(pool.map(work, blocks))


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fill(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copy the rows of ``source``; surplus rows of ``target`` repeat the last one, so that they are valid worlds."""
    n = source.shape[0]
    _copy(target[:n], source.expand_as(target[:n]))
    if n < target.shape[0]:
        _copy(target[n:], source[-1:].expand_as(target[n:]))


def _listed(lane: Lane, n: int) -> list[np.ndarray]:
    """What a lane's first ``n`` worlds hold after "forces": contacts a world, then the contacts, world by world."""
    assert lane.forces is not None
    f, found = lane.features, lane.forces
    count = f.count.numpy()[:n]
    gap, force = found.gap.numpy()[:n], found.force.numpy()[:n]
    keep = np.arange(gap.shape[1]) < count[:, None]
    keep &= (gap <= 0.0) | (force != 0.0).any(axis=2)
    shapes = np.stack([f.shape_a.numpy()[:n][keep], f.shape_b.numpy()[:n][keep]], axis=1)
    point, normal, torque = (x.numpy()[:n][keep] for x in (found.point, found.normal, found.torque))
    listed = [point, normal, gap[keep], force[keep], torque]
    actuator = found.actuator.numpy()[:n, : lane.control_view.shape[2]].copy()
    return [keep.sum(axis=1), shapes, *listed, actuator]


def _zero(target: torch.Tensor) -> None:
    """Fill with zeros, by the calling thread alone as ``_copy``."""
    if target.is_cuda:
        target.zero_()
    else:
        target.numpy().fill(0.0)


def _copy(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copy by the calling thread alone: torch would wake threads of its own for it, which costs more than it saves."""
    if target.is_cuda:
        target.copy_(source)
    else:
        np.copyto(target.numpy(), source.detach().numpy())

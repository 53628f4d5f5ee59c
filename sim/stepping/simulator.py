"""The simulator: steps and rollouts of many worlds, and their exact gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ...first_order import eager, refuse_transforms
from ..errors import ModelError
from ..scene.model import PARAMETERS, Model
from ..state import Diagnostics, State, Trajectory
from . import capacity, checks, torch_rollout
from .batch_pool import BatchPool
from .capacity import default_capacity
from .launch_graphs import LaunchGraphs
from .look_ahead import look_ahead
from .options import SimulatorOptions
from .parameter_bounds import warn_of_bounds
from .parameter_key import parameter_key
from .passes import Kind, Parts, Pass
from .world_batch import WorldBatch

__all__ = ["Simulator"]

_OWN = ("watchers", "told", "good", "pool")
"""Attributes that a copy of a simulator makes anew."""

OVERLAP = Pass(Kind.OVERLAP)

RESISTANCES = ("shape_rolling_resistance", "shape_torsional_resistance")


class Simulator:
    """Steps worlds of a model.

    The contact model is the implicit convex one of ``docs/contact.md``. The gradient is the implicit adjoint. A forward
    result is the same to the bit with and without a gradient, for any number of other worlds in the batch and any
    number of threads.

    Args:
        model: The scene.
        **options: See ``SimulatorOptions``.

    A simulator, and an object that holds one, can be pickled and deep-copied. A copy has scene and options, makes
    buffers and graphs anew at their first use, and gives the same numbers to the bit.
    """

    def __init__(self, model: Model, **options: Any):
        if not isinstance(model, Model):
            raise ModelError(f"Simulator needs a finished model, got {type(model).__name__}; pass builder.finalize()")
        self.model = model
        self.options = SimulatorOptions(**options)
        self.options.softening.of_shapes(model)  # refuses unknown names of shapes
        self._start_afresh(self.options.contact_capacity or default_capacity(model, self.options.softening.backward))

    def _start_afresh(self, contact_capacity: int) -> None:
        """Make the parts that belong to this process alone: batches of worlds, watchers, warnings given."""
        self.pool = BatchPool(self.model, self.options, contact_capacity)
        self.watchers: list[Callable[[State, torch.Tensor, dict[str, torch.Tensor]], None]] = []
        """Called with the checked inputs of every rollout: state, controls, parameters. See ``linearize``."""
        self.told: set[str] = set()
        """Warnings that are given once."""
        self.good: set[bytes] = set()
        """Key of the parameters last found good, see ``parameter_key``."""

    def __getstate__(self) -> dict[str, Any]:
        """State of a copy or a pickle: all but the parts that :meth:`_start_afresh` makes."""
        kept = {name: value for name, value in self.__dict__.items() if name not in _OWN}
        return {**kept, "contact_capacity": self.contact_capacity}

    def __setstate__(self, state: dict[str, Any]) -> None:
        contact_capacity = state.pop("contact_capacity")
        self.__dict__.update(state)
        self._start_afresh(contact_capacity)

    @property
    def contact_capacity(self) -> int:
        """Contacts that a world can hold; grows where a world meets more."""
        return self.pool.contact_capacity

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
                model's shape or with a leading W. Each is independent of the others: a mass leaves the inertia as is.
            steps: T where there are no controls.
            record: Whether the trajectory holds all states or only the last.

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
        refuse_transforms(torch_rollout.LIMITS, *both, control, *given)
        state, control, values = checks.rollout_inputs(self.model, state, control, parameters or {}, steps, self.good)
        checks.restitution(self.model, self.options, values)
        warn_of_bounds(self.model, values)
        checks.mass_alone(self.model, values, parameters or {}, self.told)
        checks.far_away(self.model, state.body_q, self.told)
        checks.coarse_slip(self.model, self.options, state.body_v, self.told)
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
            q, v, final_q, final_v = torch_rollout.Rollout.apply(
                self, box, record, state.body_q, state.body_v, control, values["shape_size"], *tensors
            )
            diagnostics = box.diagnostics
        return Trajectory(State(final_q, final_v), q if record else None, v if record else None, diagnostics)

    @eager
    @torch.no_grad()
    def run_forward(
        self, q0: torch.Tensor, v0: torch.Tensor, control: torch.Tensor, values: dict[str, torch.Tensor], keep: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor, torch.Tensor, Diagnostics, torch.Tensor | None]:
        """Run a rollout on checked tensors without gradients.

        The last result marks the steps that took several solves, for slip or impacts, bool [T, W], for
        ``run_backward``. It and the path are None unless ``keep`` is set.
        """
        steps, worlds = control.shape[0], q0.shape[0]
        path_q = q0.new_empty((steps + 1, *q0.shape)) if keep else None
        path_v = v0.new_empty((steps + 1, *v0.shape)) if keep else None
        staged = torch.zeros((steps, worlds), dtype=torch.bool, device=q0.device) if keep else None
        final_q, final_v = torch.empty_like(q0), torch.empty_like(v0)
        counts = torch.zeros((7, worlds), dtype=torch.float64, device="cpu")
        lengths = self._lengths(steps)
        parts = self._parts(Kind.FORWARD, values, worlds)
        look = steps > 1 and not self.options.allow_overlap

        def block(graphs: LaunchGraphs, start: int, stop: int) -> None:
            batch, n, forward = graphs.batch, stop - start, parts.work(start)
            own, numbers = parts.own(start, stop), parts.numbers(start, stop)
            self._load(batch, values, own, forward)
            _fill(batch.q_view[0], q0[own])
            _fill(batch.v_view[0], v0[own])
            batch.clear_reports()
            batch.features.needed.zero_()
            if path_q is not None and path_v is not None:
                path_q[0, own] = q0[own]
                path_v[0, own] = v0[own]
            if look:
                graphs.run(OVERLAP, 1)
                capacity.check(batch, numbers)
                checks.overlap(self.model, batch, numbers)
            done = 0
            for count in lengths:
                if batch.control_view.shape[2]:
                    _fill_columns(batch.control_view[:count], control[done : done + count, own])
                graphs.run(forward, count)
                done += count
                if path_q is not None and path_v is not None:
                    _put(path_q[done - count + 1 : done + 1], own, batch.q_view[1 : count + 1, :n])
                    _put(path_v[done - count + 1 : done + 1], own, batch.v_view[1 : count + 1, :n])
                if staged is not None:
                    staged[done - count : done, own] = batch.staged_view[:count, :n] != 0
                if done < steps:
                    capacity.check(batch, numbers)
                    batch.carry(count)
            last = (steps - 1) % batch.segment + 1 if steps else 0
            final_q[own] = batch.q_view[last, :n]
            final_v[own] = batch.v_view[last, :n]
            if look:
                batch.carry(last)
                graphs.run(OVERLAP, 1)
            capacity.check(batch, numbers)
            if look:
                counts[5, _on_cpu(own)] = torch.from_numpy(batch.depth.numpy()[:n].astype("float64"))
                checks.sunk(self.model, batch, numbers)
            for i, array in enumerate((*batch.solver_outcome(), batch.features.needed.numpy())):
                counts[i, _on_cpu(own)] = torch.from_numpy(array[:n].astype("float64"))
            if forward.impacts:
                counts[6, _on_cpu(own)] = torch.from_numpy(batch.late.most.numpy()[:n].astype("float64"))

        graphs_of = [(work, n) for work in parts.passes for n in lengths]
        self.pool.run(worlds, [(OVERLAP, 1)] * look + graphs_of, block, parts.bounds)
        diagnostics = Diagnostics(
            iterations=counts[0].long(), steps=steps, failed_steps=counts[1].long(), first_failure=counts[2].long(),
            residual=counts[3], contacts=counts[4].long(), penetration=counts[5] if look else None,
        )  # fmt: skip
        checks.rollout_result(self.options, diagnostics, final_q, final_v)
        checks.many_impacts(self.options, counts[6], self.told)
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

        ``staged`` is the last result of ``run_forward``; without it every step is solved again to find it. Adjoints of
        resistance are exact where they are ``wanted`` by name or the scene has resistance, else zero.
        """
        steps, worlds = control.shape[0], path_q.shape[1]
        parts = self._parts(Kind.BACKWARD, values, worlds, wanted)
        out = {
            "q0": torch.zeros_like(path_q[0]),
            "v0": torch.zeros_like(path_v[0]),
            "control": torch.zeros_like(control),
        }
        out |= {
            name: torch.zeros((worlds, *values[name].shape[1:]), dtype=path_q.dtype, device=path_q.device)
            for name in PARAMETERS
        }

        def block(graphs: LaunchGraphs, start: int, stop: int) -> None:
            batch, n, backward = graphs.batch, stop - start, parts.work(start)
            own, numbers = parts.own(start, stop), parts.numbers(start, stop)
            self._load(batch, values, own, backward)
            batch.add_adjoints()
            for view in batch.adj_parameter_views.values():
                view.zero_()
            batch.adj_q_view.zero_()
            batch.adj_v_view.zero_()
            batch.features.needed.zero_()
            batch.clear_reports()

            def add(seed: torch.Tensor | None, target: torch.Tensor) -> None:
                if seed is not None:
                    target[..., :n, :, :] += seed[..., own, :, :]

            lengths = self._lengths(steps)
            stops = [sum(lengths[: i + 1]) for i in range(len(lengths))]
            carry_q, carry_v = torch.zeros_like(batch.adj_q_view[0]), torch.zeros_like(batch.adj_v_view[0])
            add(seeds["final_q"], carry_q)
            add(seeds["final_v"], carry_v)
            for end, count in zip(reversed(stops), reversed(lengths), strict=True):
                first = end - count
                _fill_columns(batch.q_view[: count + 1], path_q[first : end + 1, own])
                _fill_columns(batch.v_view[: count + 1], path_v[first : end + 1, own])
                if batch.control_view.shape[2]:
                    _fill_columns(batch.control_view[:count], control[first:end, own])
                for view in (batch.adj_q_view, batch.adj_v_view, batch.adj_control_view):
                    _zero(view)  # by torch, as the seeds written next: Warp would do so on another stream
                batch.adj_q_view[count] = carry_q
                batch.adj_v_view[count] = carry_v
                for seed, view in ((seeds["path_q"], batch.adj_q_view), (seeds["path_v"], batch.adj_v_view)):
                    add(None if seed is None else seed[first + 1 : end + 1], view[1 : count + 1])
                if staged is None:
                    batch.staged_view.fill_(1)
                    batch.any_staged_view.fill_(1)
                else:
                    _fill_columns(batch.staged_view[:count], staged[first:end, own].to(torch.int32))
                    batch.any_staged_view[:count] = staged[first:end, own].any(dim=1)
                graphs.run(backward, count)
                carry_q.copy_(batch.adj_q_view[0])
                carry_v.copy_(batch.adj_v_view[0])
                _put(out["control"][first:end], own, batch.adj_control_view[:count, :n])
            for name, path_seed, carry in (("q0", seeds["path_q"], carry_q), ("v0", seeds["path_v"], carry_v)):
                add(None if path_seed is None else path_seed[0], carry)
                out[name][own] = carry[:n]
            for name in PARAMETERS:
                out[name][own] = batch.adj_parameter_views[name][:n]
            capacity.check(batch, numbers)
            checks.solved_again(
                self.options,
                batch,
                "the backward pass",
                lambda row, count: (numbers[min(row, n - 1)], steps - 1 - count),
            )

        graphs_of = [(work, n) for work in parts.passes for n in self._lengths(steps)]
        self.pool.run(worlds, graphs_of, block, parts.bounds)
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
        world_of = torch.as_tensor(numbers, device=path_q.device)
        parts = self._parts(Kind.FORCES, values, steps * worlds, world_of=world_of)
        found: dict[int, list[np.ndarray]] = {}

        def block(graphs: LaunchGraphs, start: int, stop: int) -> None:
            batch, n, forces = graphs.batch, stop - start, parts.work(start)
            own, places = parts.own(start, stop), parts.numbers(start, stop)
            self._load(batch, values, world_of[own], forces)
            views = (batch.q_view[0], batch.q_view[1], batch.v_view[0], batch.v_view[1], batch.control_view[0])
            for view, source in zip(views, rows, strict=True):
                if view.shape[1]:
                    _fill(view, source[own])
            batch.features.needed.zero_()
            batch.clear_reports()
            batch.staged_view.fill_(1)
            batch.any_staged_view.fill_(1)
            graphs.run(forces, 1)
            capacity.check(batch, [int(numbers[place]) for place in places])
            checks.solved_again(
                self.options, batch, "reading the forces",
                lambda row, _: (int(numbers[places[min(row, n - 1)]]), places[min(row, n - 1)] // worlds),
            )  # fmt: skip
            found[start] = _listed(batch, n)

        self.pool.run(steps * worlds, [(work, 1) for work in parts.passes], block, parts.bounds)
        blocks = [found[start] for start in sorted(found)]
        joined = [np.concatenate(x) for x in zip(*blocks, strict=True)]
        if parts.order is not None:
            joined = _reordered(joined, parts.order.cpu().numpy())
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

    def _parts(
        self, kind: Kind, values: dict[str, torch.Tensor], rows: int, wanted: frozenset[str] = frozenset(),
        world_of: torch.Tensor | None = None,
    ) -> Parts:  # fmt: skip
        """Sort rows by the pass that they need, so that the result of a world does not depend on the others.

        A row is a world, or belongs to the world that ``world_of`` gives.

        The pass has impacts where a pair of shapes bounces. It has resistance where a shape of any world has some, or
        where the gradient with respect to it is wanted, which is not zero at a coefficient of zero.
        """
        bounces = values["shape_restitution"] > 0.0
        pairs = torch.as_tensor(self.model.pairs, dtype=torch.long, device=bounces.device)
        impacts = bounces[:, pairs].all(dim=2).any(dim=1)
        resists = any(name in wanted or bool(values[name].any()) for name in RESISTANCES)
        if bool((impacts == impacts[0]).all()):
            return Parts(None, [(0, rows)], [Pass(kind, bool(impacts[0]), resists)])
        impacts = impacts if world_of is None else impacts[world_of]
        order = torch.cat([impacts.nonzero()[:, 0], (~impacts).nonzero()[:, 0]])
        count = int(impacts.sum())
        return Parts(
            order,
            [(0, count), (count, rows)],
            [Pass(kind, impacts=True, resists=resists), Pass(kind, resists=resists)],
        )

    def _lengths(self, steps: int) -> list[int]:
        full, rest = divmod(steps, self.options.segment)
        return [self.options.segment] * full + ([rest] if rest else [])

    def _load(self, batch: WorldBatch, values: dict[str, torch.Tensor], own: slice | torch.Tensor, work: Pass) -> None:
        key = parameter_key(values)
        if key is not None and batch.loaded == (key, work.resists):
            return
        batch.loaded = None if key is None else (key, work.resists)
        for name, view in batch.parameter_views.items():
            value = values[name]
            _fill(view, value if value.shape[0] == 1 else value[own])
        ahead = look_ahead(values, self.options.step, work.resists)
        _fill(batch.look_ahead_view, ahead if ahead.shape[0] == 1 else ahead[own])


def _fill(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copy the rows of ``source``; surplus rows of ``target`` repeat the last one, so that they are valid worlds."""
    n = source.shape[0]
    if n == target.shape[0]:
        _copy(target, source)
        return
    _copy(target[:n], source)
    _copy(target[n:], source[-1:])


def _fill_columns(target: torch.Tensor, source: torch.Tensor) -> None:
    """As ``_fill``, for the second axis."""
    if source.shape[1] == target.shape[1]:
        _copy(target, source)
    else:
        _fill(target.transpose(0, 1), source.transpose(0, 1))


def _listed(batch: WorldBatch, n: int) -> list[np.ndarray]:
    """Results of "forces" in a batch's first ``n`` worlds: contacts a world, then the contacts, world by world."""
    assert batch.forces is not None
    f, found = batch.features, batch.forces
    count = f.count.numpy()[:n]
    gap, force = found.gap.numpy()[:n], found.force.numpy()[:n]
    keep = np.arange(gap.shape[1]) < count[:, None]
    keep &= (gap <= 0.0) | (force != 0.0).any(axis=2)
    shapes = np.stack([f.shape_a.numpy()[:n][keep], f.shape_b.numpy()[:n][keep]], axis=1)
    point, normal, torque = (x.numpy()[:n][keep] for x in (found.point, found.normal, found.torque))
    listed = [point, normal, gap[keep], force[keep], torque]
    actuator = found.actuator.numpy()[:n, : batch.control_view.shape[2]].copy()
    return [keep.sum(axis=1), shapes, *listed, actuator]


def _reordered(listed: list[np.ndarray], order: np.ndarray) -> list[np.ndarray]:
    """Results of ``_listed`` for rows in an order, as those of rows in their own order."""
    count, *contacts, actuator = listed
    starts = np.concatenate([[0], np.cumsum(count)])
    place = np.argsort(order)
    own = np.concatenate([np.arange(starts[p], starts[p + 1]) for p in place]) if len(place) else place
    return [count[place], *(array[own] for array in contacts), actuator[place]]


def _on_cpu(own: slice | torch.Tensor) -> slice | torch.Tensor:
    return own if isinstance(own, slice) else own.cpu()


def _put(target: torch.Tensor, own: slice | torch.Tensor, source: torch.Tensor) -> None:
    """Copy to some columns of ``target``."""
    if isinstance(own, slice):
        _copy(target[:, own], source)
    else:
        target[:, own] = source


def _zero(target: torch.Tensor) -> None:
    """Fill with zeros in the calling thread, as ``_copy`` does."""
    if target.is_cuda:
        target.zero_()
    else:
        target.numpy().fill(0.0)


def _copy(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copy in the calling thread. Torch would use its thread pool, which costs more than it saves."""
    if target.is_cuda:
        target.copy_(source)
    else:
        np.copyto(target.numpy(), source.detach().numpy())

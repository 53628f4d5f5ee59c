"""Which worlds of a batch take rounds, and what goes from the plain step to their paths and back."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision import broad_phase
from ..core.precision import precision
from .round_arrays import Round, RoundAdjoints, Rounds

__all__ = [
    "Late", "accept", "begin", "count_late", "hand_back", "keep", "list_anew", "make", "restart", "seed_rest", "shift",
    "tick",
]  # fmt: skip


class Late:
    """Steps in a row with more impacts one after another than are resolved, int32 [W]."""

    def __init__(self, worlds: int, device: str) -> None:
        self.now, self.step, self.most = (wp.zeros(worlds, dtype=wp.int32, device=device) for _ in range(3))
        """In a row up to the last such step; the number of that step; the most in a row."""

    def clear(self) -> None:
        """Forget all steps."""
        self.now.zero_()
        self.step.fill_(-1)
        self.most.zero_()


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision."""
    p = precision(dtype)
    spatial, transform = p.spatial, p.transform
    dyn = motion.make(dtype)

    @wp.kernel(enable_backward=False, module="unique")
    def begin_kernel(
        pending: wp.array(dtype=int), body_q: wp.array2d(dtype=transform), solved: wp.array2d(dtype=spatial),
        # out
        pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial), start: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, body = wp.tid()
        if pending[world] != 0:
            pose[world, body] = body_q[world, body]
            mean[world, body] = solved[world, body]
            start[world, body] = dtype(0.0)

    @wp.kernel(enable_backward=False, module="unique")
    def list_anew_kernel(
        marked: wp.array(dtype=int), velocities: wp.array2d(dtype=spatial), later: wp.array2d(dtype=spatial),
        # out
        repeat: wp.array(dtype=int), listed_v: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world = wp.tid()
        repeat[world] = wp.where(marked[world] != 0, broad_phase.ANEW, 0)
        if marked[world] != 0:
            for body in range(velocities.shape[1]):
                v = velocities[world, body]
                v1 = later[world, body]
                along = wp.where(wp.length(dyn.linear(v1)) > wp.length(dyn.linear(v)), dyn.linear(v1), dyn.linear(v))
                turn = wp.where(wp.length(dyn.angular(v1)) > wp.length(dyn.angular(v)), dyn.angular(v1), dyn.angular(v))
                listed_v[world, body] = dyn.join(along, turn)

    @wp.kernel(enable_backward=False, module="unique")
    def restart_kernel(
        marked: wp.array(dtype=int), body_v0: wp.array2d(dtype=spatial), body_mask: wp.array(dtype=spatial),
        # out
        solved: wp.array2d(dtype=spatial), pending: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if marked[world] == 0:
            pending[world] = 0
            return
        for body in range(solved.shape[1]):
            solved[world, body] = wp.cw_mul(body_v0[world, body], body_mask[body])

    @wp.kernel(enable_backward=False, module="unique")
    def late_kernel(
        taken: wp.array(dtype=int), single: int, step: wp.array(dtype=int),
        # in and out
        late: wp.array(dtype=int), late_step: wp.array(dtype=int), latest: wp.array(dtype=int),
        staged: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        staged[world] = int(taken[world] > 0)
        if taken[world] > single:  # steps without an event do not come here
            late[world] = wp.where(late_step[world] == step[world] - 1, late[world] + 1, 1)
            late_step[world] = step[world]
            latest[world] = wp.max(latest[world], late[world])

    @wp.kernel(enable_backward=False, module="unique")
    def seed_kernel(
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), adj_mean: wp.array2d(dtype=spatial),
        # out
        seed: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        result = spatial()
        if going[world] != 0:
            if label[world, body] >= 0:
                result = adj_mean[world, body]
        seed[world, body] = result

    @wp.kernel(enable_backward=False, module="unique")
    def accept_kernel(
        solves: wp.array(dtype=int), label: wp.array2d(dtype=int), solved: wp.array2d(dtype=spatial),
        # out
        mean: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if solves[world] != 0:
            if label[world, body] >= 0:
                mean[world, body] = solved[world, body]

    @wp.kernel(enable_backward=False, module="unique")
    def hand_back_kernel(
        taken: wp.array(dtype=int), adj_pose: wp.array2d(dtype=transform), adj_mean: wp.array2d(dtype=spatial),
        # in and out
        adj_q: wp.array2d(dtype=transform), adj_solved: wp.array2d(dtype=spatial),
        adj_q1: wp.array2d(dtype=transform), adj_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if taken[world] > 0:
            adj_q[world, body] = adj_q[world, body] + adj_pose[world, body]
            adj_solved[world, body] = adj_solved[world, body] + adj_mean[world, body]
            adj_q1[world, body] = transform()
            adj_v1[world, body] = spatial()

    @wp.kernel(enable_backward=False, module="unique")
    def shift_kernel(
        going: wp.array(dtype=int), pose1: wp.array2d(dtype=transform), mean1: wp.array2d(dtype=spatial),
        pull1: wp.array2d(dtype=p.vec3), start1: wp.array2d(dtype=dtype), clear: int,
        # out
        pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial), pull: wp.array2d(dtype=p.vec3),
        start: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] == 0:
            return
        pose[world, body] = pose1[world, body]
        mean[world, body] = mean1[world, body]
        pull[world, body] = pull1[world, body]
        start[world, body] = start1[world, body]
        if clear != 0:
            pose1[world, body] = transform()
            mean1[world, body] = spatial()
            pull1[world, body] = p.vec3()
            start1[world, body] = dtype(0.0)

    @wp.kernel(enable_backward=False, module="unique")
    def tick_kernel(number: wp.array(dtype=int), by: int):
        number[0] = number[0] + by

    @wp.kernel(enable_backward=False, module="unique")
    def keep_kernel(number: wp.array(dtype=int), back: int, now: wp.array(dtype=int), kept: wp.array2d(dtype=int)):
        i = wp.tid()
        k = number[0]
        if k < kept.shape[0]:
            if back != 0:
                now[i] = kept[k, i]
            else:
                kept[k, i] = now[i]

    return SimpleNamespace(
        shift=shift_kernel, tick=tick_kernel, keep=keep_kernel, begin=begin_kernel, list_anew=list_anew_kernel,
        restart=restart_kernel,
        late=late_kernel, seed=seed_kernel,
        accept=accept_kernel, hand_back=hand_back_kernel,
    )  # fmt: skip


def begin(dtype: Any, rounds: Rounds, body_q: wp.array, solved: wp.array) -> None:
    """Put the first segments of the paths of worlds that may have an event into slot 0."""
    wp.launch(
        make(dtype).begin, dim=body_q.shape, inputs=[rounds.pending, body_q, solved],
        outputs=[rounds.path.pose[0], rounds.path.mean[0], rounds.path.start[0]], device=body_q.device,
    )  # fmt: skip
    rounds.number.zero_()


def list_anew(
    dtype: Any, marked: wp.array, velocities: wp.array, near: broad_phase.NearArrays, later: wp.array | None = None
) -> None:
    """Mark worlds, [W], in ``near`` to have all contacts listed for ``velocities`` after the step, [W, B].

    Where ``later`` ones are given, each linear and each angular velocity is the greater one of both.
    """
    later = velocities if later is None else later
    wp.launch(
        make(dtype).list_anew, dim=marked.shape, inputs=[marked, velocities, later],
        outputs=[near.repeat, near.listed_v], device=marked.device,
    )  # fmt: skip


def restart(
    dtype: Any, marked: wp.array, body_v0: wp.array, body_mask: wp.array, solved: wp.array, rounds: Rounds
) -> None:
    """Where the solves of the marked worlds, [W], start; all others have no event."""
    wp.launch(
        make(dtype).restart, dim=marked.shape, inputs=[marked, body_v0, body_mask], outputs=[solved, rounds.pending],
        device=marked.device,
    )  # fmt: skip


def shift(dtype: Any, going: wp.array, before: list[wp.array], after: list[wp.array], *, clear: bool) -> None:
    """Copy four arrays of paths, of the worlds going, [W]; and zero those that they come from if asked."""
    wp.launch(
        make(dtype).shift, dim=before[0].shape, inputs=[going, *before, int(clear)], outputs=after,
        device=going.device,
    )  # fmt: skip


def tick(dtype: Any, rounds: Rounds, by: int = 1) -> None:
    """Go to another round."""
    wp.launch(make(dtype).tick, dim=1, inputs=[rounds.number, by], device=rounds.number.device)


def keep(dtype: Any, rounds: Rounds, kept: wp.array, *, back: bool) -> None:
    """Keep the round, or get it ``back``; ``kept`` is int32 [rounds, words]."""
    wp.launch(
        make(dtype).keep, dim=rounds.memory.shape, inputs=[rounds.number, int(back), rounds.memory, kept],
        device=rounds.number.device,
    )  # fmt: skip


def count_late(dtype: Any, rounds: Rounds, step: wp.array, late: Late, staged: wp.array) -> None:
    """Mark the worlds that took rounds in ``staged``, [W], and count in ``late`` the steps in a row with too many.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        rounds: Of the step.
        step: Number of the step, [W].
        late: Counts.
        staged: Output, [W].
    """
    wp.launch(
        make(dtype).late, dim=staged.shape, inputs=[rounds.taken, rounds.single, step],
        outputs=[late.now, late.step, late.most, staged], device=staged.device,
    )  # fmt: skip


def seed_rest(dtype: Any, r: Round, adj_mean: wp.array, seed: wp.array) -> None:
    """Adjoints of the mean velocities of the bodies of a round, zero for all others."""
    wp.launch(make(dtype).seed, dim=seed.shape, inputs=[r.going, r.label, adj_mean], outputs=[seed], device=seed.device)


def accept(dtype: Any, rounds: Rounds, solved: wp.array, mean: wp.array) -> None:
    """Take over what was solved for the bodies of a round; all others keep their velocities."""
    wp.launch(
        make(dtype).accept, dim=mean.shape, inputs=[rounds.solves, rounds.round.label, solved], outputs=[mean],
        device=mean.device,
    )  # fmt: skip


def hand_back(
    dtype: Any, rounds: Rounds, own: RoundAdjoints, adj_q: wp.array, adj_solved: wp.array, adj_q1: wp.array,
    adj_v1: wp.array,
) -> None:  # fmt: skip
    """Add the adjoints of the first segments to those of the step's start; those of its end have been used."""
    wp.launch(
        make(dtype).hand_back, dim=adj_q.shape, inputs=[rounds.taken, own.path.pose[1], own.path.mean[1]],
        outputs=[adj_q, adj_solved, adj_q1, adj_v1], device=adj_q.device,
    )  # fmt: skip

"""Integration of the poses: one kernel, used forward and, through Warp's adjoint of it, backward."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from . import dynamics
from .arrays import ModelArrays
from .precision import precision

__all__ = ["integrate", "integrate_adjoint", "make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernel for one precision."""
    p = precision(dtype)
    mat33, spatial, transform = p.mat33, p.spatial, p.transform
    dyn = dynamics.make(dtype)

    @wp.kernel(module="unique")
    def integrate_kernel(
        # model
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        h: dtype,
        # state out
        body_q1: wp.array2d(dtype=transform),
    ):  # fmt: skip
        world, body = wp.tid()
        body_q1[world, body] = dyn.advance(
            body_gyroscopic[body], body_q[world, body], body_v0[world, body], body_v1[world, body],
            body_inertia[world, body], h,
        )  # fmt: skip

    return SimpleNamespace(kernel=integrate_kernel)


def integrate(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, body_q1: wp.array,
    *, h: float,
) -> None:  # fmt: skip
    """Poses ``body_q1`` after a step of ``h`` [s] from ``body_q``; all arrays [worlds, bodies]."""
    wp.launch(
        make(dtype).kernel,
        dim=body_q.shape,
        inputs=[model.body_gyroscopic, model.body_inertia, body_q, body_v0, body_v1, h],
        outputs=[body_q1],
        device=body_q.device,
    )


def integrate_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, body_q1: wp.array,
    adj_q1: wp.array, adj_q: wp.array, adj_v0: wp.array, adj_v1: wp.array, adj_inertia: wp.array, *, h: float,
) -> None:  # fmt: skip
    """Add to ``adj_q``, ``adj_v0``, ``adj_v1``, ``adj_inertia`` what the new poses' adjoint ``adj_q1`` implies."""
    wp.launch(
        make(dtype).kernel,
        dim=body_q.shape,
        inputs=[model.body_gyroscopic, model.body_inertia, body_q, body_v0, body_v1, h],
        outputs=[body_q1],
        adjoint=True,
        adj_inputs=[None, adj_inertia, adj_q, adj_v0, adj_v1, None],
        adj_outputs=[adj_q1],
        device=body_q.device,
    )

"""Adjoint of contacts of the first plain solve whose push has reached its cap: their coefficients are their own."""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision.features import Features
from ..contact.row_arrays import ContactRows
from ..core.adjoint_arrays import Adjoints
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from . import contacts, rest
from .rest import CAPPED
from .round_arrays import Rounds

__all__ = ["CappedArrays", "capped_adjoint", "make"]


@dataclass
class CappedArrays:
    """Working memory."""

    marks: wp.array  # int32 [W, C]: contacts at their cap that act
    all: wp.array  # int32 [W]: ones
    together: wp.array  # int32 [W, B]: zeros, since all bodies have the whole step
    time: wp.array  # scalar [W, B]: zeros

    @classmethod
    def allocate(cls, worlds: int, bodies: int, capacity: int, dtype: Any, device: Any) -> "CappedArrays":
        """As they stay."""
        return cls(
            wp.zeros((worlds, capacity), dtype=wp.int32, device=device),
            wp.ones(worlds, dtype=wp.int32, device=device),
            wp.zeros((worlds, bodies), dtype=wp.int32, device=device),
            wp.zeros((worlds, bodies), dtype=dtype, device=device),
        )


@functools.cache
def make() -> SimpleNamespace:
    """The kernel that marks the contacts."""

    @wp.kernel(enable_backward=False, module="unique")
    def mark_kernel(
        count: wp.array(dtype=int), capped: wp.array2d(dtype=int),
        # in and out
        active: wp.array2d(dtype=int),
        # out
        marks: wp.array2d(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        for c in range(count[world]):
            marks[world, c] = 0
            if capped[world, c] == CAPPED and active[world, c] != 0:
                marks[world, c] = CAPPED
                active[world, c] = 0

    return SimpleNamespace(mark=mark_kernel)


def capped_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, solved: wp.array, features: Features,
    rounds: Rounds, own: CappedArrays, rows: ContactRows, g: Adjoints, *, threshold: float, h: float, eps: float,
    angular_eps: float,
) -> None:  # fmt: skip
    """The part of ``adjoint.contact_adjoint`` of these contacts, which ``g.active`` then no longer marks."""
    f = features
    wp.launch(
        make().mark, dim=f.count.shape, inputs=[f.count, rounds.capped], outputs=[g.active, own.marks],
        device=body_q.device,
    )  # fmt: skip
    kernel = rest.make(dtype, rows.resists).power
    wp.launch(
        kernel, dim=contacts.threads(f),
        inputs=[
            g.bodies, model.shapes, g.surfaces, f.struct, own.all, own.together, own.marks, own.time, body_q, body_v0,
            solved, g.z, threshold, h, eps, angular_eps, contacts.threads(f)[1],
        ],
        outputs=[g.contact_power], adjoint=True,
        adj_inputs=by_name(kernel, pose=g.body_q, after=g.body_v0, power=g.contact_seed),
        device=body_q.device,
    )  # fmt: skip

"""The linear solve of the implicit adjoint for worlds of many bodies, island by island; see ``adjoint.py``."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law, row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import UNROLLED, precision
from . import block_cholesky, island_graph, island_hessian
from . import scratch as scratch_arrays
from .scratch import Scratch

__all__ = ["make", "solve_adjoint"]


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The kernel for one precision and contact law."""
    p = precision(dtype)
    spatial, transform = p.spatial, p.transform
    dyn, contact_law = motion.make(dtype), law.make(dtype, resists, softens)
    hessian, lin = island_hessian.make(dtype, resists, softens), block_cholesky.make(dtype)
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators
    Rows, Work = row_arrays.make(dtype, resists, softens), scratch_arrays.make(dtype, contact_law.Motion).Islands
    Graph, arrange = island_graph.make().Graph, island_graph.make().arrange

    @wp.kernel(enable_backward=False, module="unique", module_options=UNROLLED)
    def linear_islands_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial), count: wp.array(dtype=int),
        g: Graph, rows: Rows, h: dtype, eps: dtype, adj_v1: wp.array2d(dtype=spatial),
        # scratch
        work: Work,
        # out
        z: wp.array2d(dtype=spatial), active: wp.array2d(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        body_count = body_q.shape[1]
        if count[world] < 0:  # a further solve that this world does not take
            for body in range(body_count):
                z[world, body] = spatial()
            return
        for body in range(body_count):
            rotation = wp.transform_get_rotation(body_q[world, body])
            work.inertia[world, body] = dyn.world_inertia(rotation, bodies.inertia[world, body])
            z[world, body] = wp.cw_mul(adj_v1[world, body], bodies.mask[body])
        for c in range(count[world]):
            u = contact_law.relative_motion(
                body_v1, world, rows.body_a[world, c], rows.body_b[world, c], rows.arm_a[world, c],
                rows.arm_b[world, c], rows.normal[world, c], rows.twist[world, c],
            )  # fmt: skip
            work.slip[world, c] = u
            flag = int(contact_law.excess(u, rows.normal[world, c], rows.coefficients[world, c], eps) > dtype(0.0))
            active[world, c] = flag
            g.awake[world, c] = flag
        arrange(world, bodies.takes_part, count[world], rows.body_a, rows.body_b, g)
        for island in range(g.islands[world]):
            hessian.assemble(world, island, g, bodies, actuators, rows, active, h, eps, work)
            lin.factor(world, island, g, body_count, work.diagonal, work.below)
            lin.solve(world, island, g, work.diagonal, work.below, z)

    return SimpleNamespace(kernel=linear_islands_kernel)


def solve_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v1: wp.array, count: wp.array, contact_rows: ContactRows,
    scratch: Scratch, adj_v1: wp.array, adjoints: Adjoints, *, h: float, eps: float,
) -> None:  # fmt: skip
    """Solve H z = ``adj_v1`` at the solution ``body_v1``; writes ``adjoints.z`` and which contacts are active."""
    m, r, s = model, contact_rows, scratch
    assert s.graph is not None
    assert s.blocks is not None
    wp.launch(
        make(dtype, *contact_rows.law).kernel,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.actuators, body_q, body_v1, count, s.graph.struct, r.struct, h, eps, adj_v1, s.struct,
        ],
        outputs=[adjoints.z, adjoints.active],
        device=body_q.device,
    )  # fmt: skip

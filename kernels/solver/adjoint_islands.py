"""The linear solve of the implicit adjoint for worlds of many bodies, island by island; see ``adjoint.py``."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law
from ..contact.row_arrays import ContactRows
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import UNROLLED, precision
from . import block_cholesky, island_graph, island_hessian
from .scratch import Scratch

__all__ = ["make", "solve_adjoint"]


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False, own_arms: bool = False) -> SimpleNamespace:
    """The kernel for one precision and contact law; ``own_arms`` is that of ``ContactRows``."""
    p = precision(dtype)
    vec3, mat33, spatial, transform = p.vec3, p.mat33, p.spatial, p.transform
    dyn, contact_law = motion.make(dtype), law.make(dtype, resists, softens)
    hessian, lin = island_hessian.make(dtype, resists, softens, own_arms), block_cholesky.make(dtype)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients
    block = lin.block
    Graph, arrange = island_graph.make().Graph, island_graph.make().arrange

    @wp.kernel(enable_backward=False, module="unique", module_options=UNROLLED)
    def linear_islands_kernel(
        # model
        body_takes_part: wp.array(dtype=int), body_mask: wp.array(dtype=spatial),
        actuator_body: wp.array(dtype=int), actuator_axis: wp.array(dtype=int),
        actuator_kind: wp.array(dtype=int), body_mass: wp.array2d(dtype=dtype), body_inertia: wp.array2d(dtype=mat33),
        actuator_stiffness: wp.array2d(dtype=dtype), actuator_damping: wp.array2d(dtype=dtype),
        # state in
        body_q: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial), count: wp.array(dtype=int),
        g: Graph, row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int), normal: wp.array2d(dtype=vec3),
        arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3), twist: wp.array2d(dtype=vec3),
        coefficients: wp.array2d(dtype=Coefficients),
        h: dtype, eps: dtype, adj_v1: wp.array2d(dtype=spatial),
        # scratch
        inertia: wp.array2d(dtype=mat33), diagonal: wp.array2d(dtype=block), below: wp.array2d(dtype=block),
        slip: wp.array2d(dtype=Motion),
        # out
        z: wp.array2d(dtype=spatial), active: wp.array2d(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        bodies = body_q.shape[1]
        if count[world] < 0:  # a further solve that this world does not take
            for body in range(bodies):
                z[world, body] = spatial()
            return
        for body in range(bodies):
            rotation = wp.transform_get_rotation(body_q[world, body])
            inertia[world, body] = dyn.world_inertia(rotation, body_inertia[world, body])
            z[world, body] = wp.cw_mul(adj_v1[world, body], body_mask[body])
        for c in range(count[world]):
            u = contact_law.relative_motion(
                body_v1, world, row_a[world, c], row_b[world, c], arm_a[world, c], arm_b[world, c],
                normal[world, c], twist[world, c],
            )  # fmt: skip
            slip[world, c] = u
            flag = int(contact_law.excess(u, normal[world, c], coefficients[world, c], eps) > dtype(0.0))
            active[world, c] = flag
            g.awake[world, c] = flag
        arrange(world, body_takes_part, count[world], row_a, row_b, g)
        for island in range(g.islands[world]):
            hessian.assemble(
                world, island, g, body_mask, body_mass, inertia, actuator_body, actuator_axis, actuator_kind,
                actuator_stiffness, actuator_damping, row_a, normal, arm_a, arm_b, twist, coefficients, slip, active, h,
                eps, diagonal, below,
            )  # fmt: skip
            lin.factor(world, island, g, bodies, diagonal, below)
            lin.solve(world, island, g, diagonal, below, z)

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
            m.body_takes_part, m.body_mask, m.actuator_body, m.actuator_axis, m.actuator_kind, m.body_mass,
            m.body_inertia, m.actuator_stiffness, m.actuator_damping,
            body_q, body_v1, count, island_graph.table(s.graph), r.body_a, r.body_b, r.normal, r.arm_a, r.arm_b,
            r.twist, r.coefficients, h, eps, adj_v1, s.inertia, s.blocks.diagonal, s.blocks.below, s.slip,
        ],
        outputs=[adjoints.z, adjoints.active],
        device=body_q.device,
    )  # fmt: skip

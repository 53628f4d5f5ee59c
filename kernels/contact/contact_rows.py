"""Contact rows: everything the solver needs to know of a contact, from poses, start velocities and parameters.

``make(dtype).row`` is pure and differentiated; ``prepare`` launches it forward for all contacts of all worlds.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision import contact_geometry, edge_blend, features
from ..collision.features import POLYGON_CORNERS, SHARE_FIXED, SHARE_POLYGON, Features
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import face_friction, hard, law, row_arrays, rows_lanes, world_contacts
from .row_arrays import ContactRows

__all__ = ["make", "prepare"]

THREADS_PER_WORLD = 32


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """``row``, its parts and the forward kernel for one precision and contact law; see ``law.py``."""
    p = precision(dtype)
    vec3, vec4, spatial, transform = p.vec3, p.vec4, p.spatial, p.transform
    vec6 = wp.types.vector(6, dtype)
    geo, pair, dyn = contact_geometry.make(dtype), hard.make(dtype), motion.make(dtype)
    contact_law, hand, patch_ns = law.make(dtype, resists, softens), edge_blend.make(dtype), face_friction.make(dtype)
    FeatureTable, Rows = features.make(dtype), row_arrays.make(dtype, resists, softens)
    model = model_arrays.make(dtype)
    Bodies, Shapes, Surfaces = model.Bodies, model.Shapes, model.Surfaces
    corners_type = wp.types.matrix((POLYGON_CORNERS, 3), dtype)

    @wp.func
    def mass_of(body_mass: wp.array2d(dtype=dtype), world: int, body: int):
        mass = dtype(0.0)
        if body >= 0:
            mass = body_mass[world, body]
        return mass

    @wp.func
    def polygon_share(before: vec3, here: vec3, after: vec3, perimeter: dtype):
        """Half of the length of the two sides that meet in a corner over the perimeter [1]."""
        return dtype(0.5) * (wp.length(here - before) + wp.length(after - here)) / perimeter

    @wp.func(inline=True)
    def of_pair(world: int, sa: int, sb: int, a: int, b: int, bodies: Bodies, surfaces: Surfaces, h: dtype):
        """Stiffness [N/m], damping [N s/m] and coefficient of friction of a pair of shapes."""
        mass = pair.effective_mass(mass_of(bodies.mass, world, a), mass_of(bodies.mass, world, b))
        k, d = pair.compliance(
            surfaces.stiffness[world, sa], surfaces.stiffness[world, sb],
            surfaces.damping[world, sa], surfaces.damping[world, sb], mass, h,
        )  # fmt: skip
        return k, d, pair.friction(surfaces.friction[world, sa], surfaces.friction[world, sb])

    @wp.func(inline=True)
    def row_of(
        world: int, c: int, a: int, b: int, part: dtype, stiffness: dtype, damping: dtype, mu: dtype, f: FeatureTable,
        xa: transform, xb: transform, body_v0: wp.array2d(dtype=spatial), centre: vec3, pull: dtype, h: dtype,
        eps: dtype,
    ):  # fmt: skip
        """As ``row``, of a contact with the share ``part`` of its pair's stiffness; without that in the result."""
        gap, n, point = geo.locate(
            f.kind[world, c], xa, xb, f.a0[world, c], f.a1[world, c], f.a2[world, c], f.b0[world, c], f.b1[world, c],
            f.radius_a[world, c], f.radius_b[world, c], f.sign[world, c],
        )  # fmt: skip
        arm_a = point - wp.transform_get_translation(xa)
        arm_b = point - wp.transform_get_translation(xb)
        k = stiffness
        d = damping
        twist = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if pull > dtype(0.0):
            twist = patch_ns.twist(n, point, centre, pull)
        u0 = dyn.twisted_velocity(body_v0, world, a, b, arm_a, arm_b, n, twist)
        s = pair.slip_speed(u0, n, eps)
        if wp.static(softens):
            coefficients = vec6(-h * k * gap * part, (h * h * k + h * d) * part, mu, s, h * k * part, dtype(0.0))
        else:
            coefficients = vec4(-h * k * gap * part, (h * h * k + h * d) * part, mu, s)
        return n, arm_a, arm_b, twist, coefficients, gap

    @wp.func(inline=False)
    def polygon_part(
        world: int, c: int, start: int, corners: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        """Part [1] of a polygon's weight that its corner in slot ``c`` has."""
        before = geo.next_corner(world, c, -1, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
        here = geo.next_corner(world, c, 0, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
        after = geo.next_corner(world, c, 1, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
        perimeter = geo.perimeter(world, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
        return polygon_share(before, here, after, perimeter)

    @wp.func(inline=True)
    def row(
        world: int, c: int, sa: int, sb: int, a: int, b: int, f: FeatureTable, centre: wp.array2d(dtype=vec3),
        pull: wp.array2d(dtype=dtype), body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial),
        bodies: Bodies, surfaces: Surfaces, h: dtype, eps: dtype,
    ):  # fmt: skip
        """Normal, arms of a and b and twist [m], (a, b, mu, s0) of ``hard.py``, gap [m] and share of a patch.

        Softened contacts have h k times the share [N s/m] as a fifth coefficient.
        """
        xa = geo.body_pose(body_q, world, a)
        xb = geo.body_pose(body_q, world, b)
        part = f.weight[world, c]
        share = f.share[world, c]
        if share == SHARE_POLYGON:
            part = part * polygon_part(
                world, c, f.patch_start[world, c], f.patch_count[world, c], xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1
            )
        elif share != SHARE_FIXED:
            part = part * geo.fixed_share(share, f.share_plane[world, c], xa, xb, f.s0[world, c], f.s1[world, c])
        if f.blend[world, c] >= 0:
            part = part * hand.factor(
                world, f.blend[world, c], xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1, f.blend_edges
            )
        k, d, mu = of_pair(world, sa, sb, a, b, bodies, surfaces, h)
        drawn = dtype(0.0)
        to = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if f.patch_count[world, c] > 0:
            drawn = pull[world, f.patch_start[world, c]]
            to = centre[world, f.patch_start[world, c]]
        n, arm_a, arm_b, twist, coefficients, gap = row_of(
            world, c, a, b, part, k, d, mu, f, xa, xb, body_v0, to, drawn, h, eps
        )
        return n, arm_a, arm_b, twist, coefficients, gap, part

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces, body_q: wp.array2d(dtype=transform),
        body_v0: wp.array2d(dtype=spatial), f: FeatureTable, even: int, h: dtype, eps: dtype, angular_eps: dtype,
        first_pass: int, repeat: wp.array(dtype=int), stride: int,
        # out; centre and pull in the slot of a patch's first corner
        rows: Rows,
    ):  # fmt: skip
        world, first = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        contacts = f.count[world]
        patch = int(-1)
        face = int(-1)
        middle = vec3()
        face_pull = dtype(0.0)
        perimeter = dtype(1.0)
        outline = corners_type()
        last_a = int(-1)
        last_b = int(-1)
        xa = transform()
        xb = transform()
        stiffness = dtype(0.0)
        damping = dtype(0.0)
        mu = dtype(0.0)
        for k in range((contacts - first + stride - 1) / stride):
            c = first + k * stride
            sa = f.shape_a[world, c]
            sb = f.shape_b[world, c]
            a = shapes.body[sa]
            b = shapes.body[sb]
            # as ``row``, but what a pair's contacts or a polygon's corners have in common is found only once
            if sa != last_a or sb != last_b:
                last_a = sa
                last_b = sb
                xa = geo.body_pose(body_q, world, a)
                xb = geo.body_pose(body_q, world, b)
                stiffness, damping, mu = of_pair(world, sa, sb, a, b, bodies, surfaces, h)
            part = f.weight[world, c]
            if f.share[world, c] == SHARE_POLYGON:
                start = f.patch_start[world, c]
                corners = f.patch_count[world, c]
                if start != patch:
                    patch = start
                    for i in range(corners):
                        outline[i] = geo.next_corner(
                            world, start, i, start, corners, xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1
                        )
                    perimeter = dtype(0.0)
                    for i in range(corners):
                        perimeter += wp.length(outline[(i + 1) % corners] - outline[i])
                at = c - start
                part = part * polygon_share(
                    outline[(at + corners - 1) % corners], outline[at], outline[(at + 1) % corners], perimeter
                )
            elif f.share[world, c] != SHARE_FIXED:
                part = part * geo.fixed_share(
                    f.share[world, c], f.share_plane[world, c], xa, xb, f.s0[world, c], f.s1[world, c]
                )
            if f.blend[world, c] >= 0:
                part = part * hand.factor(
                    world, f.blend[world, c], xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1, f.blend_edges
                )
            drawn = dtype(0.0)
            to = vec3()
            if f.patch_count[world, c] > 0:
                start = f.patch_start[world, c]
                if start != face:
                    face = start
                    if even == 0:
                        middle = vec3()
                        face_pull = dtype(0.0)
                    elif patch_ns.flat_on_plane(f.kind[world, start], f.share[world, start], a):
                        middle, face_pull = patch_ns.find_on_plane(world, start, f.patch_count[world, c], xb, f)
                    else:
                        middle, face_pull = patch_ns.find_patch(world, start, f.patch_count[world, c], xa, xb, f)
                    if first == start % stride:
                        rows.centre[world, start] = middle
                        rows.pull[world, start] = face_pull
                drawn = face_pull
                to = middle
            n, ra, rb, turning, coefficient, _gap = row_of(
                world, c, a, b, part, stiffness, damping, mu, f, xa, xb, body_v0, to, drawn, h, eps
            )
            rows.body_a[world, c] = a
            rows.body_b[world, c] = b
            rows.normal[world, c] = n
            rows.arm_a[world, c] = ra
            rows.arm_b[world, c] = rb
            rows.twist[world, c] = turning
            if wp.static(softens):
                coefficient = contact_law.softened(coefficient, surfaces.softening[sa], surfaces.softening[sb])
            rows.coefficients[world, c] = contact_law.full(
                coefficient, n, world, sa, sb, a, b, body_v0, surfaces.rolling_resistance,
                surfaces.torsional_resistance, angular_eps,
            )  # fmt: skip

    return SimpleNamespace(
        row=row, row_of=row_of, polygon_part=polygon_part, of_pair=of_pair, mass_of=mass_of, kernel=rows_kernel
    )


def prepare(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, features: Features, rows: ContactRows,
    *, h: float, eps: float, angular_eps: float, even: bool = False,
    repeat: wp.array | None = None,
) -> None:  # fmt: skip
    """Fill ``rows`` for all listed contacts at poses ``body_q`` and start velocities ``body_v0`` [worlds, bodies].

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        model: Arrays of the model.
        body_q: Poses, transform [worlds, bodies].
        body_v0: Velocities at the start of the step (linear [m/s], angular [rad/s]), [worlds, bodies].
        features: Contact features from detection.
        rows: Output; with resistance or without.
        h: Step [s].
        eps: Stiction tolerance [m/s].
        angular_eps: Stiction tolerance of resistance [rad/s].
        even: Whether friction of faces acts as under even pressure (``face_friction.py``), or at their corners.
        repeat: Marks the worlds to fill, [worlds]; all by default.
    """
    if rows_lanes.serves(model, rows):
        rows_lanes.prepare(dtype, model, body_q, body_v0, features, rows, h=h, eps=eps, even=even, repeat=repeat)
        return
    if world_contacts.serves(model, rows):
        world_contacts.prepare(dtype, model, body_q, body_v0, features, rows, h=h, eps=eps, even=even, repeat=repeat)
        return
    worlds, capacity = features.kind.shape
    # on a GPU some threads share the contacts of a world, most of whose room is empty
    stride = min(capacity, THREADS_PER_WORLD) if body_q.device.is_cuda else 1
    wp.launch(
        make(dtype, rows.resists, rows.softens).kernel,
        dim=(worlds, stride),
        inputs=[
            model.bodies, model.shapes, model.surfaces, body_q, body_v0, features.struct, int(even), h, eps,
            angular_eps, int(repeat is None), repeat, stride,
        ],
        outputs=[rows.struct],
        device=body_q.device,
    )  # fmt: skip

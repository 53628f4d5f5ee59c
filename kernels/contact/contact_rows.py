"""Contact rows: everything the solver needs to know of a contact, from poses, start velocities and parameters.

``make(dtype).row`` is pure and differentiated; ``prepare`` launches it forward for all contacts of all worlds.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision import contact_geometry, edge_blend
from ..collision.features import POLYGON_CORNERS, SHARE_FIXED, SHARE_POLYGON, Features
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import face_friction, hard, law
from .row_arrays import ContactRows

__all__ = ["feature_inputs", "make", "prepare"]

THREADS_PER_WORLD = 32


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The functions ``row`` and ``mass_of`` and the forward kernel, for one precision; see ``law.py``."""
    p = precision(dtype)
    vec3, vec4, spatial, transform, mat63 = p.vec3, p.vec4, p.spatial, p.transform, p.mat63
    vec2, vec6 = p.vec2, wp.types.vector(6, dtype)
    geo, pair, dyn = contact_geometry.make(dtype), hard.make(dtype), motion.make(dtype)
    contact_law, hand, patch_ns = law.make(dtype, resists, softens), edge_blend.make(dtype), face_friction.make(dtype)
    Coefficients = contact_law.Coefficients
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

    @wp.func
    def of_pair(
        world: int, sa: int, sb: int, a: int, b: int, body_mass: wp.array2d(dtype=dtype),
        shape_friction: wp.array2d(dtype=dtype), shape_stiffness: wp.array2d(dtype=dtype),
        shape_damping: wp.array2d(dtype=dtype), h: dtype,
    ):  # fmt: skip
        """Stiffness [N/m], damping [N s/m] and coefficient of friction of a pair of shapes."""
        mass = pair.effective_mass(mass_of(body_mass, world, a), mass_of(body_mass, world, b))
        k, d = pair.compliance(
            shape_stiffness[world, sa], shape_stiffness[world, sb],
            shape_damping[world, sa], shape_damping[world, sb], mass, h,
        )  # fmt: skip
        return k, d, pair.friction(shape_friction[world, sa], shape_friction[world, sb])

    @wp.func
    def row_of(
        world: int, c: int, a: int, b: int, part: dtype, stiffness: dtype, damping: dtype, mu: dtype,
        kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
        radius_a: wp.array2d(dtype=dtype), radius_b: wp.array2d(dtype=dtype), sign: wp.array2d(dtype=dtype),
        xa: transform, xb: transform, body_v0: wp.array2d(dtype=spatial), centre: vec3, pull: dtype, h: dtype,
        eps: dtype,
    ):  # fmt: skip
        """As ``row``, of a contact with the share ``part`` of its pair's stiffness; without that in the result."""
        gap, n, point = geo.locate(
            kind[world, c], xa, xb, a0[world, c], a1[world, c], a2[world, c], b0[world, c], b1[world, c],
            radius_a[world, c], radius_b[world, c], sign[world, c],
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

    @wp.func
    def part_of(
        world: int, c: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
        weight: wp.array2d(dtype=dtype), share: wp.array2d(dtype=int), share_plane: wp.array2d(dtype=int),
        s0: wp.array2d(dtype=vec3), s1: wp.array2d(dtype=vec3),
        patch_start: wp.array2d(dtype=int), patch_count: wp.array2d(dtype=int),
        blend: wp.array2d(dtype=int), blend_edges: wp.array2d(dtype=mat63),
    ):  # fmt: skip
        """Share [1] of a contact in the stiffness of its pair, in all the ways of ``collision/features.py``."""
        part = weight[world, c] * geo.fixed_share(
            share[world, c], share_plane[world, c], xa, xb, s0[world, c], s1[world, c]
        )
        if share[world, c] == SHARE_POLYGON:
            start = patch_start[world, c]
            corners = patch_count[world, c]
            before = geo.next_corner(world, c, -1, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
            here = geo.next_corner(world, c, 0, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
            after = geo.next_corner(world, c, 1, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
            perimeter = geo.perimeter(world, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
            part = weight[world, c] * polygon_share(before, here, after, perimeter)
        if blend[world, c] >= 0:
            part *= hand.factor(world, blend[world, c], xa, xb, kind, a0, a1, a2, b0, b1, blend_edges)
        return part

    @wp.func
    def row(
        world: int, c: int, sa: int, sb: int, a: int, b: int,
        kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
        radius_a: wp.array2d(dtype=dtype), radius_b: wp.array2d(dtype=dtype), sign: wp.array2d(dtype=dtype),
        weight: wp.array2d(dtype=dtype), share: wp.array2d(dtype=int), share_plane: wp.array2d(dtype=int),
        s0: wp.array2d(dtype=vec3), s1: wp.array2d(dtype=vec3),
        patch_start: wp.array2d(dtype=int), patch_count: wp.array2d(dtype=int),
        blend: wp.array2d(dtype=int), blend_edges: wp.array2d(dtype=mat63),
        centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype),
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial),
        body_mass: wp.array2d(dtype=dtype), shape_friction: wp.array2d(dtype=dtype),
        shape_stiffness: wp.array2d(dtype=dtype), shape_damping: wp.array2d(dtype=dtype),
        h: dtype, eps: dtype,
    ):  # fmt: skip
        """Normal, arms of a and b and twist [m], (a, b, mu, s0) of ``hard.py``, gap [m] and share of a patch.

        Softened contacts have h k times the share [N s/m] as a fifth coefficient.
        """
        xa = geo.body_pose(body_q, world, a)
        xb = geo.body_pose(body_q, world, b)
        part = weight[world, c]
        if share[world, c] != SHARE_FIXED or blend[world, c] >= 0:
            part = part_of(
                world, c, xa, xb, kind, a0, a1, a2, b0, b1, weight, share, share_plane, s0, s1, patch_start,
                patch_count, blend, blend_edges,
            )  # fmt: skip
        k, d, mu = of_pair(world, sa, sb, a, b, body_mass, shape_friction, shape_stiffness, shape_damping, h)
        drawn = dtype(0.0)
        to = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if patch_count[world, c] > 0:
            drawn = pull[world, patch_start[world, c]]
            to = centre[world, patch_start[world, c]]
        n, arm_a, arm_b, twist, coefficients, gap = row_of(
            world, c, a, b, part, k, d, mu, kind, a0, a1, a2, b0, b1, radius_a, radius_b, sign, xa, xb, body_v0, to,
            drawn, h, eps,
        )  # fmt: skip
        return n, arm_a, arm_b, twist, coefficients, gap, part

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        # model
        shape_body: wp.array(dtype=int), body_mass: wp.array2d(dtype=dtype), shape_friction: wp.array2d(dtype=dtype),
        shape_stiffness: wp.array2d(dtype=dtype), shape_damping: wp.array2d(dtype=dtype),
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial),
        count: wp.array(dtype=int), shape_a: wp.array2d(dtype=int), shape_b: wp.array2d(dtype=int),
        kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
        radius_a: wp.array2d(dtype=dtype), radius_b: wp.array2d(dtype=dtype), sign: wp.array2d(dtype=dtype),
        weight: wp.array2d(dtype=dtype), share: wp.array2d(dtype=int), share_plane: wp.array2d(dtype=int),
        s0: wp.array2d(dtype=vec3), s1: wp.array2d(dtype=vec3),
        patch_start: wp.array2d(dtype=int), patch_count: wp.array2d(dtype=int),
        blend: wp.array2d(dtype=int), blend_edges: wp.array2d(dtype=mat63),
        patch_arm: wp.array2d(dtype=vec3), even: int,
        h: dtype, eps: dtype, rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype),
        angular_eps: dtype, softening: wp.array(dtype=vec2), first_pass: int, repeat: wp.array(dtype=int), stride: int,
        # rows out
        row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int), normal: wp.array2d(dtype=vec3),
        arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3), twist: wp.array2d(dtype=vec3),
        coefficients: wp.array2d(dtype=Coefficients),
        # out, in the slot of a patch's first corner
        centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, first = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        contacts = count[world]
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
            sa = shape_a[world, c]
            sb = shape_b[world, c]
            a = shape_body[sa]
            b = shape_body[sb]
            # as ``row``, but what a pair's contacts or a polygon's corners have in common is found only once
            if sa != last_a or sb != last_b:
                last_a = sa
                last_b = sb
                xa = geo.body_pose(body_q, world, a)
                xb = geo.body_pose(body_q, world, b)
                stiffness, damping, mu = of_pair(
                    world, sa, sb, a, b, body_mass, shape_friction, shape_stiffness, shape_damping, h
                )
            part = weight[world, c]
            if share[world, c] == SHARE_POLYGON:
                start = patch_start[world, c]
                corners = patch_count[world, c]
                if start != patch:
                    patch = start
                    for i in range(corners):
                        outline[i] = geo.next_corner(world, start, i, start, corners, xa, xb, kind, a0, a1, a2, b0, b1)
                    perimeter = dtype(0.0)
                    for i in range(corners):
                        perimeter += wp.length(outline[(i + 1) % corners] - outline[i])
                at = c - start
                part = part * polygon_share(
                    outline[(at + corners - 1) % corners], outline[at], outline[(at + 1) % corners], perimeter
                )
            else:
                part = part * geo.fixed_share(
                    share[world, c], share_plane[world, c], xa, xb, s0[world, c], s1[world, c]
                )
            if blend[world, c] >= 0:
                part = part * hand.factor(world, blend[world, c], xa, xb, kind, a0, a1, a2, b0, b1, blend_edges)
            drawn = dtype(0.0)
            to = vec3()
            if patch_count[world, c] > 0:
                start = patch_start[world, c]
                if start != face:
                    face = start
                    if even == 0:
                        middle = vec3()
                        face_pull = dtype(0.0)
                    elif patch_ns.flat_on_plane(kind[world, start], share[world, start], a):
                        middle, face_pull = patch_ns.find_on_plane(
                            world, start, patch_count[world, c], xb, a0, a1, b0, radius_a, radius_b, weight,
                            patch_arm,
                        )  # fmt: skip
                    else:
                        middle, face_pull = patch_ns.find_patch(
                            world, start, patch_count[world, c], xa, xb, kind, a0, a1, a2, b0, b1, radius_a, radius_b,
                            sign, weight, share, share_plane, s0, s1, patch_arm,
                        )  # fmt: skip
                    if first == start % stride:
                        centre[world, start] = middle
                        pull[world, start] = face_pull
                drawn = face_pull
                to = middle
            n, ra, rb, turning, coefficient, _gap = row_of(
                world, c, a, b, part, stiffness, damping, mu, kind, a0, a1, a2, b0, b1, radius_a, radius_b, sign, xa,
                xb, body_v0, to, drawn, h, eps,
            )  # fmt: skip
            row_a[world, c] = a
            row_b[world, c] = b
            normal[world, c] = n
            arm_a[world, c] = ra
            arm_b[world, c] = rb
            twist[world, c] = turning
            if wp.static(softens):
                coefficient = contact_law.softened(coefficient, softening[sa], softening[sb])
            coefficients[world, c] = contact_law.full(
                coefficient, n, world, sa, sb, a, b, body_v0, rolling, torsional, angular_eps
            )

    return SimpleNamespace(
        row=row, row_of=row_of, part_of=part_of, of_pair=of_pair, mass_of=mass_of, kernel=rows_kernel
    )


def feature_inputs(f: Features) -> list[wp.array]:
    """The feature arrays in the order of the kernels' arguments, after the count and the shapes."""
    return [
        f.kind, f.a0, f.a1, f.a2, f.b0, f.b1, f.radius_a, f.radius_b, f.sign, f.weight, f.share, f.share_plane,
        f.s0, f.s1, f.patch_start, f.patch_count, f.blend, f.blend_edges,
    ]  # fmt: skip


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
    worlds, capacity = features.kind.shape
    # on a GPU some threads share the contacts of a world, most of whose room is empty
    stride = min(capacity, THREADS_PER_WORLD) if body_q.device.is_cuda else 1
    wp.launch(
        make(dtype, rows.resists, rows.softens).kernel,
        dim=(worlds, stride),
        inputs=[
            model.shape_body, model.body_mass, model.shape_friction, model.shape_stiffness, model.shape_damping,
            body_q, body_v0, features.count, features.shape_a, features.shape_b, *feature_inputs(features),
            features.patch_arm, int(even), h, eps, model.shape_rolling_resistance,
            model.shape_torsional_resistance, angular_eps, model.shape_softening,
            int(repeat is None), repeat, stride,
        ],
        outputs=[
            rows.body_a, rows.body_b, rows.normal, rows.arm_a, rows.arm_b, rows.twist, rows.coefficients,
            rows.centre, rows.pull,
        ],
        device=body_q.device,
    )  # fmt: skip

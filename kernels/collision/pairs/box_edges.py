"""Contact of an edge of one box with an edge of another: a given pair of edges, or the closest of all pairs."""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``edge_pair`` and ``closest_edges`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    vec2, vec3, mat33 = p.vec2, p.vec3, p.mat33
    writer = feature_table.make(dtype)
    FeatureTable, Side = writer.FeatureTable, writer.Side
    parallel = wp.constant(dtype(p.epsilon))  # squared sine

    @wp.func
    def unit(i: int) -> vec3:
        v = vec3()
        v[i] = dtype(1.0)
        return v

    @wp.func
    def column(m: mat33, j: int) -> vec3:
        return vec3(m[0, j], m[1, j], m[2, j])

    @wp.func
    def support(size: vec3, direction: vec3, edge: int) -> vec3:
        """Middle of the box's edge (along axis ``edge``) that lies farthest in a direction."""
        v = vec3()
        for k in range(3):
            if k != edge:
                v[k] = size[k]
                if direction[k] < dtype(0.0):
                    v[k] = -size[k]
        return v

    @wp.func
    def edge_pair(
        table: FeatureTable, world: int, n: int, a: Side, b: Side,
        rotation: mat33, position: vec3, edge_a: int, edge_b: int,
    ) -> int:  # fmt: skip
        """Contact of the edges along ``edge_a`` and ``edge_b`` that face each other, which may overlap."""
        normal = wp.cross(unit(edge_a), column(rotation, edge_b))
        sign = dtype(1.0)
        if wp.dot(normal, position) < dtype(0.0):
            sign = dtype(-1.0)
        normal = normal * sign
        on_a = support(a.size, normal, edge_a)
        on_b = support(b.size, wp.transpose(rotation) * (-normal), edge_b)
        return writer.put_cross(table, world, n, a, b, on_a, unit(edge_a), on_b, unit(edge_b), sign, dtype(1.0))

    @wp.func
    def edge_middle(size: vec3, edge: int, which: int) -> vec3:
        """Middle of one of the four edges along an axis."""
        v = vec3()
        one = (edge + 1) % 3
        two = (edge + 2) % 3
        v[one] = size[one] * dtype(1 - 2 * (which & 1))
        v[two] = size[two] * dtype(1 - (which & 2))
        return v

    @wp.func
    def closest_parameters(between: vec3, u: vec3, v: vec3, half_u: dtype, half_v: dtype) -> vec2:
        """Closest points of two segments about their middles; ``between`` runs from the middle of v to that of u."""
        cosine = wp.dot(u, v)
        cross = wp.cross(u, v)
        sine2 = wp.dot(cross, cross)
        c = wp.dot(u, between)
        f = wp.dot(v, between)
        s = wp.clamp(-c, -half_u, half_u)
        if sine2 > parallel:
            s = wp.clamp((cosine * f - c) / sine2, -half_u, half_u)
        t = wp.clamp(cosine * s + f, -half_v, half_v)
        s = wp.clamp(cosine * t - c, -half_u, half_u)
        return vec2(s, t)

    @wp.func
    def closest_edges(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        """Contact at the closest points of the edges of two separate boxes."""
        nearest = dtype(1.0e30)
        best_a = int(0)
        best_b = int(0)
        for i in range(12):
            middle_a = edge_middle(a.size, i >> 2, i & 3)
            for j in range(12):
                v = column(rotation, j >> 2)
                middle_b = rotation * edge_middle(b.size, j >> 2, j & 3) + position
                st = closest_parameters(middle_a - middle_b, unit(i >> 2), v, a.size[i >> 2], b.size[j >> 2])
                distance = wp.length(middle_a + unit(i >> 2) * st[0] - middle_b - v * st[1])
                if distance < nearest:
                    nearest = distance
                    best_a = i
                    best_b = j
        if nearest >= margin:
            return n

        edge_a = best_a >> 2
        edge_b = best_b >> 2
        on_a = edge_middle(a.size, edge_a, best_a & 3)
        on_b = edge_middle(b.size, edge_b, best_b & 3)
        u = unit(edge_a)
        v = column(rotation, edge_b)
        half_a = a.size[edge_a]
        half_b = b.size[edge_b]
        between = on_a - rotation * on_b - position
        st = closest_parameters(between, u, v, half_a, half_b)
        point_a = on_a + u * st[0]
        point_b = on_b + unit(edge_b) * st[1]
        inner_a = wp.abs(st[0]) < half_a
        inner_b = wp.abs(st[1]) < half_b
        cross = wp.cross(u, v)
        if inner_a and inner_b and wp.dot(cross, cross) > parallel:
            sign = dtype(1.0)
            if wp.dot(cross, between) > dtype(0.0):
                sign = dtype(-1.0)
            n = writer.put_cross(table, world, n, a, b, on_a, u, on_b, unit(edge_b), sign, dtype(1.0))
        elif inner_a:
            n = writer.put_line(table, world, n, a, b, on_a, u, point_b, dtype(1.0))
        elif inner_b:
            n = writer.put_line(table, world, n, b, a, on_b, unit(edge_b), point_a, dtype(1.0))
        else:
            n = writer.put_point(table, world, n, a, b, point_a, point_b, dtype(1.0))
        return n

    return types.SimpleNamespace(
        edge_pair=edge_pair, closest_edges=closest_edges, closest_parameters=closest_parameters
    )

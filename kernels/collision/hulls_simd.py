"""Functions of all faces, vertices or edges of a hull in native code, where a pile's detection spends much of its time.

The CPU takes eight of them in a vector instruction. On a GPU the same sources are loops of one thread. The numbers are
in rows: of the faces of all meshes (unit normal x, y, z; offset [m]), of the vertices (x, y, z) and of the edges (start
x, y, z; start to end; normals of the left and of the right face). Eight numbers more follow the last, which are read
and left out.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core import simd
from ..core.precision import precision

__all__ = ["MOST_EDGES", "make"]

MOST_EDGES = wp.constant(192)
"""Edges that a hull of 64 vertices may have, by Euler's formula at most 186."""

_LOWEST = """
    const TYPE* x = &wp::index(vertices, 0, 0);
    const long n = vertices.shape[1];
    row low = row {} + big;
    irow at = iota * 0 + begin;
    for (int v = begin; v < end; v += lanes) {
        row here = load(x + v) * direction[0] + load(x + n + v) * direction[1] + load(x + 2 * n + v) * direction[2];
        const irow less = (here < low) & (iota + v < end);
        low = less ? here : low;
        at = less ? iota + v : at;
    }
    const TYPE value = least(low);
    return (int)(first_of(low == value ? at : none));
"""

_HEIGHT = """
    const TYPE* x = &wp::index(faces, 0, 0);
    const long n = faces.shape[1];
    row most = row {} - big;
    for (int f = begin; f < end; f += lanes) {
        const row n0 = load(x + f), n1 = load(x + n + f), n2 = load(x + 2 * n + f);
        row offset = load(x + 3 * n + f);
        if (scaled)
            offset *= n0 * n0 * scale[0] + n1 * n1 * scale[1] + n2 * n2 * scale[2];
        const row here = n0 * point[0] + n1 * point[1] + n2 * point[2] - offset;
        most = ((here > most) & (iota + f < end)) ? here : most;
    }
    return greatest(most);
"""

_BEST_FACE = """
    const TYPE* x = &wp::index(faces, 0, 0);
    const long n = faces.shape[1];
    const TYPE* y = &wp::index(vertices, 0, 0);
    const long m = vertices.shape[1];
    TYPE heights[MOST_EDGES];
    row most = row {} - big;
    irow at = iota * 0 + begin;
    for (int f = begin; f < end; f += lanes) {
        const row n0 = load(x + f), n1 = load(x + n + f), n2 = load(x + 2 * n + f);
        row offset = load(x + 3 * n + f);
        if (scaled)
            offset *= n0 * n0 * scale[0] + n1 * n1 * scale[1] + n2 * n2 * scale[2];
        const row here = n0 * position[0] + n1 * position[1] + n2 * position[2] - offset;
        put(heights + f - begin, here);
        const irow more = (here > most) & (iota + f < end);
        most = more ? here : most;
        at = more ? iota + f : at;
    }
    auto gap = [&](int f) {
        const TYPE n0 = x[f], n1 = x[n + f], n2 = x[2 * n + f];
        TYPE d[3];
        for (int i = 0; i < 3; ++i)
            d[i] = (rotation.data[0][i] * n0 + rotation.data[1][i] * n1 + rotation.data[2][i] * n2) * other_scale[i];
        row low = row {} + big;
        for (int v = other_begin; v < other_end; v += lanes) {
            const row here = load(y + v) * d[0] + load(y + m + v) * d[1] + load(y + 2 * m + v) * d[2];
            low = ((here < low) & (iota + v < other_end)) ? here : low;
        }
        return heights[f - begin] + least(low);
    };
    const TYPE value = greatest(most);
    const int first = (int)(first_of(most == value ? at : none));
    int face = first;
    TYPE best = gap(first);
    for (int f = begin; f < end && best < enough; ++f)
        if (f != first && heights[f - begin] - inner > best) {
            const TYPE here = gap(f);
            if (here > best) {
                best = here;
                face = f;
            }
        }
    return wp::vec_t<2, TYPE>(best, (TYPE)(face - begin));
"""

_NEAR = """
    // edges of h, posed in the frame of the other hull, of which face ``toward`` looks at h
    auto collect = [&](int begin, int end, const wp::vec_t<3, TYPE>& scale, const wp::mat_t<3, 3, TYPE>& rotation,
                       const wp::vec_t<3, TYPE>& position, int face, int face_end, int toward, int scaled,
                       const wp::vec_t<3, TYPE>& other_scale, TYPE distance, unsigned char* found, bool& touch) {
        const TYPE* e = &wp::index(edges, 0, 0);
        const long m = edges.shape[1];
        const TYPE* x = &wp::index(faces, 0, 0);
        const long n = faces.shape[1];
        TYPE r[3][3];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j)
                r[i][j] = rotation.data[i][j] * scale[j];
        int count = 0;
        touch = false;
        for (int i = begin; i < end; i += lanes) {
            const row a = load(e + i), b = load(e + m + i), c = load(e + 2 * m + i);
            const row u = load(e + 3 * m + i), v = load(e + 4 * m + i), w = load(e + 5 * m + i);
            const row x0 = a * r[0][0] + b * r[0][1] + c * r[0][2] + position[0];
            const row x1 = a * r[1][0] + b * r[1][1] + c * r[1][2] + position[1];
            const row x2 = a * r[2][0] + b * r[2][1] + c * r[2][2] + position[2];
            const row d0 = u * r[0][0] + v * r[0][1] + w * r[0][2];
            const row d1 = u * r[1][0] + v * r[1][1] + w * r[1][2];
            const row d2 = u * r[2][0] + v * r[2][1] + w * r[2][2];
            row low = row {}, low_in = low;
            row high = low + (TYPE)(1), high_in = high;
            irow alive = iota + i < end;
            for (int k = face - 1; k < face_end; ++k) {
                const int f = k < face ? toward : k;
                const TYPE n0 = x[f], n1 = x[n + f], n2 = x[2 * n + f];
                TYPE offset = x[3 * n + f];
                if (scaled)
                    offset *= n0 * n0 * other_scale[0] + n1 * n1 * other_scale[1] + n2 * n2 * other_scale[2];
                const row first = x0 * n0 + x1 * n1 + x2 * n2 - offset;
                const row rise = d0 * n0 + d1 * n1 + d2 * n2;
                const irow falls = rise < (TYPE)(0);
                const row rate = rise == (TYPE)(0) ? row {} - big : (TYPE)(-1) / rise;
                const row at = (first - distance) * rate;
                const row at_in = first * rate;
                const row not_low = falls ? at : row {} - big, not_high = falls ? row {} + big : at;
                const row not_low_in = falls ? at_in : row {} - big, not_high_in = falls ? row {} + big : at_in;
                low = not_low > low ? not_low : low;
                high = not_high < high ? not_high : high;
                low_in = not_low_in > low_in ? not_low_in : low_in;
                high_in = not_high_in < high_in ? not_high_in : high_in;
                alive = alive & (low <= high);
                if (!any(alive))
                    break;
            }
            if (any(alive)) {
                touch = touch || any(alive & (low_in <= high_in));
                for (int l = 0; l < lanes; ++l)
                    if (ilane(alive, l))
                        found[count++] = (unsigned char)(i + l - begin);
            }
        }
        return count;
    };
"""

_NEAR_EDGES = """
    wp::vec_t<MOST_EDGES, wp::uint8> found;
    bool touch;
    found[MOST_EDGES - 1] = (wp::uint8)(collect(
        begin, end, scale, rotation, position, face, face_end, toward, scaled, other_scale, distance, &found[0], touch
    ));
    return found;
"""

_CROSSING = """
    unsigned char near_a[MOST_EDGES], near_b[MOST_EDGES];
    bool touch_a, touch_b;
    wp::mat_t<3, 3, TYPE> back;
    wp::vec_t<3, TYPE> seen;
    for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j)
            back.data[i][j] = rotation.data[j][i];
        seen[i] = -(back.data[i][0] * position[0] + back.data[i][1] * position[1] + back.data[i][2] * position[2]);
    }
    int count_a = 0, count_b = 0;
    for (int attempt = 0; attempt < 2; ++attempt) {
        count_a = collect(
            begin_a, end_a, scale_a, back, seen, face_b, face_end_b, toward_b, scaled_b, scale_b, distance, near_a,
            touch_a
        );
        count_b = collect(
            begin_b, end_b, scale_b, rotation, position, face_a, face_end_a, toward_a, scaled_a, scale_a, distance,
            near_b, touch_b
        );
        if (touch_a || touch_b || distance >= wider)
            break;
        distance = wider;
    }
    // those of b in the frame of a
    const TYPE* e = &wp::index(edges, 0, 0);
    const long m = edges.shape[1];
    TYPE of_b[12][MOST_EDGES + 8];
    for (int j = 0; j < count_b; ++j) {
        const TYPE* x = e + begin_b + near_b[j];
        for (int i = 0; i < 12; ++i)
            of_b[i][j] = i < 6 ? x[i * m] * scale_b[i % 3] : x[i * m];
    }
    for (int j = 0; j < count_b; j += lanes)
        for (int k = 0; k < 12; k += 3) {
            const row x = load(of_b[k] + j), y = load(of_b[k + 1] + j), z = load(of_b[k + 2] + j);
            for (int i = 0; i < 3; ++i)
                put(of_b[k + i] + j,
                    x * rotation.data[i][0] + y * rotation.data[i][1] + z * rotation.data[i][2]
                        + (k == 0 ? position[i] : (TYPE)(0)));
        }
    row best = row {} - big;
    irow which = none;
    for (int i = 0; i < count_a; ++i) {
        TYPE a[12];
        const TYPE* x = e + begin_a + near_a[i];
        for (int k = 0; k < 12; ++k)
            a[k] = k < 6 ? x[k * m] * scale_a[k % 3] : x[k * m];
        const TYPE bound = parallel * parallel * (a[3] * a[3] + a[4] * a[4] + a[5] * a[5]);
        for (int j = 0; j < count_b; j += lanes) {
            const row d0 = load(of_b[3] + j), d1 = load(of_b[4] + j), d2 = load(of_b[5] + j);
            // the arcs between the normals of their faces, those of b turned over, cross on the sphere of directions
            const row b0 = load(of_b[6] + j) * a[3] + load(of_b[7] + j) * a[4] + load(of_b[8] + j) * a[5];
            const row b1 = load(of_b[9] + j) * a[3] + load(of_b[10] + j) * a[4] + load(of_b[11] + j) * a[5];
            const row a0 = d0 * a[6] + d1 * a[7] + d2 * a[8];
            const row a1 = d0 * a[9] + d1 * a[10] + d2 * a[11];
            irow counts = (b0 * b1 < (TYPE)(0)) & (a0 * a1 < (TYPE)(0)) & (b0 * a1 < (TYPE)(0)) & (iota + j < count_b);
            if (!any(counts))
                continue;
            const row n0 = d2 * a[4] - d1 * a[5], n1 = d0 * a[5] - d2 * a[3], n2 = d1 * a[3] - d0 * a[4];
            const row length2 = n0 * n0 + n1 * n1 + n2 * n2;
            counts = counts & (length2 > (d0 * d0 + d1 * d1 + d2 * d2) * bound);
            const irow turned = n0 * a[0] + n1 * a[1] + n2 * a[2] < (TYPE)(0);
            row gap = n0 * (load(of_b[0] + j) - a[0]) + n1 * (load(of_b[1] + j) - a[1])
                + n2 * (load(of_b[2] + j) - a[2]);
            gap = (turned ? -gap : gap) / root(length2);
            const irow more = counts & (gap > best);
            best = more ? gap : best;
            which = more ? ((iota + (j + i * MOST_EDGES)) * 2 + (turned ? iota * 0 + 1 : iota * 0)) : which;
        }
    }
    const TYPE value = greatest(best);
    const int pair = (int)(first_of(best == value ? which : none));
    wp::vec_t<6, TYPE> result;
    result[0] = value;
    result[3] = 1;
    result[4] = touch_a || touch_b;
    result[5] = distance;
    if (value > -big) {
        result[1] = near_a[pair / 2 / MOST_EDGES];
        result[2] = near_b[pair / 2 % MOST_EDGES];
        result[3] = pair % 2 ? -1 : 1;
    }
    return result;
"""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``lowest``, ``height``, ``best_face``, ``near_edges`` and ``crossing`` for one precision; forward only.

    Numbers of faces, vertices and edges that are given count in the rows, those returned as floats in the hull.
    """
    p = precision(dtype)
    vec2, vec3, mat33 = p.vec2, p.vec3, p.mat33
    vec6 = wp.types.vector(6, dtype)
    rows = wp.array2d(dtype=dtype)
    edge_list = wp.types.vector(int(MOST_EDGES), wp.uint8)

    def native(*codes: str) -> str:
        return simd.native(dtype, *codes).replace("MOST_EDGES", str(int(MOST_EDGES)))

    @wp.func_native(native(_LOWEST))
    def lowest(vertices: rows, begin: int, end: int, direction: vec3) -> int:
        """The vertex least far in a direction, the first of several."""
        ...

    @wp.func_native(native(_HEIGHT))
    def height(faces: rows, begin: int, end: int, scaled: int, scale: vec3, point: vec3) -> dtype:
        """Greatest height of a point over the faces [m]."""
        ...

    @wp.func_native(native(_BEST_FACE))
    def best_face(
        faces: rows, vertices: rows, begin: int, end: int, scaled: int, scale: vec3, other_begin: int, other_end: int,
        other_scale: vec3, inner: dtype, rotation: mat33, position: vec3, enough: dtype,
    ) -> vec2:  # fmt: skip
        """Greatest separation [m] of another hull along the normals of the faces, and the face; see ``hulls.py``."""
        ...

    @wp.func_native(native(_NEAR, _NEAR_EDGES))
    def near_edges(
        edges: rows, faces: rows, begin: int, end: int, scale: vec3, rotation: mat33, position: vec3, face: int,
        face_end: int, toward: int, scaled: int, other_scale: vec3, distance: dtype,
    ) -> edge_list:  # fmt: skip
        """Edges that meet another hull with its faces moved out by a distance; the last number is how many.

        ``rotation``, ``position`` are the pose of the edges in the frame of that hull, whose face ``toward`` is tested
        first.
        """
        ...

    @wp.func_native(native(_NEAR, _CROSSING))
    def crossing(
        edges: rows, faces: rows, begin_a: int, end_a: int, face_a: int, face_end_a: int, scaled_a: int, scale_a: vec3,
        begin_b: int, end_b: int, face_b: int, face_end_b: int, scaled_b: int, scale_b: vec3, rotation: mat33,
        position: vec3, toward_a: int, toward_b: int, distance: dtype, wider: dtype, parallel: dtype,
    ) -> vec6:  # fmt: skip
        """Greatest separation [m] along the common normals of edges near the other hull.

        Only pairs count that are a feature of the Minkowski difference. It tests those of ``near_edges`` within
        ``distance``, or within ``wider`` if none of them meets the other hull.

        Returns the separation (-1e30: no pair), the two edges, the sign that points their normal from a to b,
        whether an edge meets the other hull, and the distance taken.
        """
        ...

    return SimpleNamespace(
        edge_list=edge_list, lowest=lowest, height=height, best_face=best_face, near_edges=near_edges,
        crossing=crossing,
    )  # fmt: skip

"""Text of detection (``collision/driver.py``), LANES worlds side by side: spheres and boxes, planes that they lie on.

The pairs are the same in all worlds; where a world's shapes are, and how near they come, is computed side by side, and
contacts are written a world at a time. Of ``collision/pairs/``: plane and sphere, plane and box, sphere and sphere,
sphere and box.
"""

from .formulas import Formulas, Row
from .free_motion import assigned
from .vectors import Quaternion, Vector

__all__ = ["CODE"]


def _length(x: Vector) -> Row:
    return x.dot(x).root()


def _near() -> str:
    """Distance within which the contacts of a pair are listed, and the pose of b in the frame of a."""
    f = Formulas()
    pa, pb, ball_a, ball_b = f.inputs("pose_a", 7), f.inputs("pose_b", 7), f.input("ball_a"), f.input("ball_b")

    def speed(a: str, b: str) -> Row:
        va, vb = f.inputs(a, 6), f.inputs(b, 6)
        linear = _length(Vector.of(vb[:3]) - Vector.of(va[:3]))
        return linear + (_length(Vector.of(va[3:])) * ball_a + _length(Vector.of(vb[3:])) * ball_b)

    before, after = speed("va0", "vb0") + f.input("fallen"), speed("va1", "vb1")
    near = f.input("zero + margin") + f.input("ahead") * (before > after).pick(before, after)
    turn = Quaternion.of(pa[3:]).inverse()
    position = turn.rotate(Vector.of(pb[:3]) - Vector.of(pa[:3]))
    rotation = turn * Quaternion.of(pb[3:])
    one, zero = f.row(1.0), f.row(0.0)
    columns = [rotation.rotate(Vector(*e)) for e in ((one, zero, zero), (zero, one, zero), (zero, zero, one))]
    matrix = [column.rows[i] for i in range(3) for column in columns]
    rows = [near, _length(position), *position.rows, *matrix]
    return f.texts(rows)[0] + assigned(f, "relative", rows)


CODE = f"""
    auto most_of = [](int a, int b) {{  // contacts that a pair may have
        if (a == PLANE) return b == SPHERE ? MOST_PLANE_SPHERE : MOST_PLANE_BOX;
        return b == SPHERE ? MOST_SPHERE_SPHERE : MOST_SPHERE_BOX;
    }};
    int n[LANES];
    for (int l = 0; l < LANES; ++l) n[l] = 0;
    const row ahead = of_worlds(look_ahead, 1);
    const row gx = of_worlds(gravity, gravity_stride), gy = of_worlds(gravity + 1, gravity_stride);
    const row gz = of_worlds(gravity + 2, gravity_stride);
    const row gravity_speed = step * root(fused(gx, gx, fused(gy, gy, gz * gz)));
    auto velocity = [&](const TYPE* x, long stride, int body, row* v) {{
        for (int i = 0; i < 6; ++i) v[i] = body < 0 ? zero : of_worlds(x + 6 * body + i, stride);
    }};
    for (int pair = 0; pair < pair_count; ++pair) {{
        const int sa = pairs[2 * pair], sb = pairs[2 * pair + 1];
        const int type_a = shape_kind[sa], type_b = shape_kind[sb];
        row pose_a[7], pose_b[7], va0[6], va1[6], vb0[6], vb1[6], relative[14];
        for (int i = 0; i < 7; ++i) {{
            pose_a[i] = of_worlds(shape_q + 7 * sa + i, shape_q_stride);
            pose_b[i] = of_worlds(shape_q + 7 * sb + i, shape_q_stride);
        }}
        velocity(body_v0, body_v0_stride, shape_body[sa], va0), velocity(body_v1, body_v1_stride, shape_body[sa], va1);
        velocity(body_v0, body_v0_stride, shape_body[sb], vb0), velocity(body_v1, body_v1_stride, shape_body[sb], vb1);
        const row about_a = of_worlds(ball + 2 * sa, ball_stride), about_b = of_worlds(ball + 2 * sb, ball_stride);
        const row ball_a = shape_body[sa] < 0 ? zero : of_worlds(ball + 2 * sa + 1, ball_stride);
        const row ball_b = shape_body[sb] < 0 ? zero : of_worlds(ball + 2 * sb + 1, ball_stride);
        const row fallen = shape_body[sa] < 0 || shape_body[sb] < 0 ? gravity_speed : zero;
{_near()}
        const row near = relative[0], *position = relative + 2, *rotation = relative + 5;
        const row reach = (type_a == PLANE ? position[2] : relative[1] - about_a) - about_b;
        const irow close = reach < near;
        const row least_gap = larger(reach, near);
        int start[LANES];
        for (int l = 0; l < LANES; ++l) start[l] = n[l];
        if (any(close)) {{
            // from the frames of shapes to those of their bodies; shapes lie alike in all worlds
            TYPE frame[2][12];
            for (int side = 0; side < 2; ++side) {{
                const TYPE* p = shape_pose + 7 * (side ? sb : sa);
                const TYPE x = p[3], y = p[4], z = p[5], w = p[6], ww = (TYPE)2 * w * w - (TYPE)1;
                const TYPE m[12] = {{
                    ww + (TYPE)2 * x * x, (TYPE)2 * (x * y - z * w), (TYPE)2 * (x * z + y * w),
                    (TYPE)2 * (x * y + z * w), ww + (TYPE)2 * y * y, (TYPE)2 * (y * z - x * w),
                    (TYPE)2 * (x * z - y * w), (TYPE)2 * (y * z + x * w), ww + (TYPE)2 * z * z, p[0], p[1], p[2]}};
                for (int i = 0; i < 12; ++i) frame[side][i] = m[i];
            }}
            row half_a[3], half_b[3];
            for (int i = 0; i < 3; ++i) {{
                half_a[i] = of_worlds(size + 3 * sa + i, size_stride);
                half_b[i] = of_worlds(size + 3 * sb + i, size_stride);
            }}
            const row radius_of_a = type_a == SPHERE ? half_a[0] : zero;
            const row radius_of_b = type_b == SPHERE ? half_b[0] : zero;
            // a contact of world l; ``swapped``: a is the pair's second shape. Points and directions in shape frames.
            auto put_contact = [&](int l, bool swapped, int of_kind, const TYPE* ka0, const TYPE* ka1, const TYPE* kb0,
                                   TYPE part) {{
                const int slot = n[l]++;
                if (slot >= capacity) return;
                const long world = first + l;
                const TYPE *fa = frame[swapped], *fb = frame[!swapped];
                const int own_a = swapped ? sb : sa, own_b = swapped ? sa : sb;
                kind[world * kind_stride + slot] = of_kind;
                shape_a[world * shape_a_stride + slot] = own_a;
                shape_b[world * shape_b_stride + slot] = own_b;
                for (int i = 0; i < 3; ++i) {{
                    const TYPE *ra = fa + 3 * i, *rb = fb + 3 * i;
                    a0[world * a0_stride + 3 * slot + i] = ra[0] * ka0[0] + ra[1] * ka0[1] + ra[2] * ka0[2] + fa[9 + i];
                    b0[world * b0_stride + 3 * slot + i] = rb[0] * kb0[0] + rb[1] * kb0[1] + rb[2] * kb0[2] + fb[9 + i];
                    if (of_kind != POINT)
                        a1[world * a1_stride + 3 * slot + i] = ra[0] * ka1[0] + ra[1] * ka1[1] + ra[2] * ka1[2];
                }}
                // two contacts that differ in the order of the shapes must not cancel
                if (of_kind != FLAT) sign[world * sign_stride + slot] = own_a < own_b ? (TYPE)1 : (TYPE)-1;
                radius_a[world * radius_a_stride + slot] = lane(swapped ? radius_of_b : radius_of_a, l);
                radius_b[world * radius_b_stride + slot] = lane(swapped ? radius_of_a : radius_of_b, l);
                weight[world * weight_stride + slot] = part;
                share[world * share_stride + slot] = SHARE_FIXED;
                patch_count[world * patch_count_stride + slot] = 0;
                blend[world * blend_stride + slot] = -1;
            }};
            const TYPE nowhere[3] = {{0, 0, 0}}, up[3] = {{0, 0, 1}};
            if (type_a == PLANE && type_b == SPHERE) {{
                const irow touches = close & (position[2] - radius_of_b < near);
                for (int l = 0; l < LANES && first + l < worlds; ++l)
                    if (ilane(touches, l)) put_contact(l, false, FLAT, nowhere, up, nowhere, (TYPE)1);
            }} else if (type_a == PLANE) {{
                const row rise[3] = {{rotation[6] * half_b[0], rotation[7] * half_b[1], rotation[8] * half_b[2]}};
                const row lowest = position[2] - absolute(rise[0]) - absolute(rise[1]) - absolute(rise[2]);
                const irow touches = close & (lowest < near);
                // the axis that stands most upright, and the sides of the face about it
                const row ux = absolute(rotation[6]), uy = absolute(rotation[7]), uz = absolute(rotation[8]);
                const irow by_y = uy > ux, by_z = uz > (by_y ? uy : ux);
                const row s = by_z ? half_b[0] : by_y ? half_b[2] : half_b[1];
                const row t = by_z ? half_b[1] : by_y ? half_b[0] : half_b[2];
                const row d2 = s * s + t * t, d = root(d2);
                const row face_gap = larger(near, larger(lowest, zero) + (TYPE)FACE_TILT * d);
                irow below[8];
                for (int corner = 0; corner < 8; ++corner) {{
                    const row x = corner & 1 ? -rise[0] : rise[0], y = corner & 2 ? -rise[1] : rise[1];
                    const row z = corner & 4 ? -rise[2] : rise[2];
                    below[corner] = touches & (position[2] + x + y + z < face_gap);
                }}
                for (int l = 0; l < LANES && first + l < worlds; ++l) {{
                    if (!ilane(touches, l)) continue;
                    for (int corner = 0; corner < 8; ++corner) {{
                        if (!ilane(below[corner], l)) continue;
                        const TYPE x = lane(half_b[0], l), y = lane(half_b[1], l), z = lane(half_b[2], l);
                        const TYPE vertex[3] = {{corner & 1 ? -x : x, corner & 2 ? -y : y, corner & 4 ? -z : z}};
                        put_contact(l, false, FLAT, nowhere, up, vertex, (TYPE)0.25);
                    }}
                    const long world = first + l;
                    const int stop = n[l] < capacity ? n[l] : capacity;
                    if (stop <= start[l] + 1) continue;
                    // as ``plane.rectangle``
                    const TYPE a = lane(s, l), b = lane(t, l), e = lane(d, l);
                    TYPE mean = e / (TYPE)3 + a * a / ((TYPE)6 * b) * wp::log((b + e) / a);
                    mean += b * b / ((TYPE)6 * a) * wp::log((a + e) / b);
                    TYPE* arm = patch_arm + world * patch_arm_stride + 3 * start[l];
                    arm[0] = mean / e, arm[1] = (TYPE)4 * a * a * b * b / (lane(d2, l) * lane(d2, l)), arm[2] = e;
                    for (int slot = start[l]; slot < stop; ++slot) {{
                        patch_start[world * patch_start_stride + slot] = start[l];
                        patch_count[world * patch_count_stride + slot] = stop - start[l];
                    }}
                }}
            }} else if (type_b == SPHERE) {{
                const irow touches = close & (relative[1] - radius_of_a - radius_of_b < near);
                for (int l = 0; l < LANES && first + l < worlds; ++l)
                    if (ilane(touches, l)) put_contact(l, false, POINT, nowhere, nowhere, nowhere, (TYPE)1);
            }} else {{  // as ``sphere.point_box``
                row at_box[3], foot[3];
                for (int i = 0; i < 3; ++i) {{
                    const row *to = rotation + i;
                    at_box[i] = -(to[0] * position[0] + to[3] * position[1] + to[6] * position[2]);
                    foot[i] = smaller(larger(at_box[i], -half_b[i]), half_b[i]);
                }}
                const row dx = at_box[0] - foot[0], dy = at_box[1] - foot[1], dz = at_box[2] - foot[2];
                const irow touches = close & (root(fused(dx, dx, fused(dy, dy, dz * dz))) - radius_of_a < near);
                for (int l = 0; l < LANES && first + l < worlds; ++l) {{
                    if (!ilane(touches, l)) continue;
                    int outside = 0, face = 0, edge = 0;
                    TYPE depth = -1e30, point[3], direction[3] = {{0, 0, 0}};
                    for (int i = 0; i < 3; ++i) {{
                        point[i] = lane(foot[i], l);
                        const TYPE x = lane(at_box[i], l), separation = (x < 0 ? -x : x) - lane(half_b[i], l);
                        if (separation > 0) ++outside;
                        else edge = i;
                        if (separation > depth) depth = separation, face = i;
                    }}
                    if (outside == 3)
                        put_contact(l, true, POINT, point, nowhere, nowhere, (TYPE)1);
                    else if (outside == 2) {{
                        direction[edge] = 1;
                        point[edge] = 0;
                        put_contact(l, true, LINE, point, direction, nowhere, (TYPE)1);
                    }} else {{
                        const TYPE way = lane(at_box[face], l) < 0 ? (TYPE)-1 : (TYPE)1;
                        TYPE origin[3] = {{0, 0, 0}};
                        direction[face] = way;
                        origin[face] = way * lane(half_b[face], l);
                        put_contact(l, true, FLAT, origin, direction, nowhere, (TYPE)1);
                    }}
                }}
            }}
        }}
        for (int l = 0; l < LANES && first + l < worlds; ++l) {{
            gap[(first + l) * gap_stride + pair] = lane(least_gap, l);
            listed[(first + l) * listed_stride + pair] = n[l] > start[l] ? 1 : 0;
            const int found = n[l] - start[l];
            if (found > most_of(type_a, type_b) && needed[first + l] < BROKEN + found)
                needed[first + l] = BROKEN + found;
        }}
    }}
    for (int l = 0; l < LANES && first + l < worlds; ++l) {{
        const int room = capacity;
        count[first + l] = n[l] < room ? n[l] : room;
        // once a list was cut off, what follows was not meant to happen
        if (needed[first + l] <= room && n[l] > needed[first + l]) needed[first + l] = n[l];
    }}
"""
"""To be pasted behind the arguments and constants."""

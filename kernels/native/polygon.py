"""Text that finds friction and shares of polygons' corners, and its reverse, LANES polygons of a world side by side.

What ``contact/face_friction.py`` finds for polygons: centre and pull of a patch. With x the corners from the first one,
half the half lengths of the two sides of each, and sums of weights times 1, x and x x^T:

    outline, area   sums with half, and of the area by triangles: how wide and how round the face is
    sums            sums with weight half f((lift - gap)/height), at contact points, which lie under the corners by half
                    of the gap: the mean is the centre, roundness gives the pull

For the reverse, let m and C be mean and covariance of weights w at places x, s their sum, and a bar the derivative by
what stands under it. Then

    w_bar = ((m_bar + C_bar (x - m)) (x - m) - C : C_bar)/s,   x_bar = w (m_bar + 2 C_bar (x - m))/s

Derivatives of the covariance through its moments would be small differences of large sums.
"""

from dataclasses import dataclass

__all__ = ["PolygonText"]

_FUNCTIONS = """
    struct Spread { row s, mean[3], c[6], trace, roundness; irow wide; };  // c: xx, yy, zz, xy, xz, yz
    auto add_moments = [&](row* s, row w, const row* x) {
        const row y[3] = {x[0] * w, x[1] * w, x[2] * w};
        s[0] += w;
        for (int k = 0; k < 3; ++k) {
            s[1 + k] += y[k];
            s[4 + k] = fused(x[k], y[k], s[4 + k]);
        }
        s[7] = fused(x[0], y[1], s[7]), s[8] = fused(x[0], y[2], s[8]), s[9] = fused(x[1], y[2], s[9]);
    };
    auto spread_of = [&](const row* s, irow some) {
        Spread o;
        o.s = some ? s[0] : one;
        const row per = one / o.s;
        row raw = zero;
        for (int k = 0; k < 3; ++k) o.mean[k] = s[1 + k] * per;
        for (int k = 0; k < 3; ++k) {
            raw += s[4 + k];
            o.c[k] = s[4 + k] * per - o.mean[k] * o.mean[k];
        }
        o.c[3] = s[7] * per - o.mean[0] * o.mean[1];
        o.c[4] = s[8] * per - o.mean[0] * o.mean[2];
        o.c[5] = s[9] * per - o.mean[1] * o.mean[2];
        o.trace = o.c[0] + o.c[1] + o.c[2];
        o.wide = some & (o.trace > TINY * raw * per);
        o.trace = some ? o.trace : one;
        row square = zero;
        for (int k = 0; k < 3; ++k) square += o.c[k] * o.c[k] + (TYPE)2 * o.c[3 + k] * o.c[3 + k];
        const row safe = o.wide ? o.trace : one;
        o.roundness = o.wide ? (TYPE)2 - (TYPE)2 * square / (safe * safe) : zero;
        return o;
    };
    auto cross_of = [&](const row* x, const row* y, row* z) {
        for (int k = 0; k < 3; ++k) {
            const int i = (k + 1) % 3, j = (k + 2) % 3;
            z[k] = x[i] * y[j] - x[j] * y[i];
        }
    };
    auto dot = [&](const row* x, const row* y) { return fused(x[0], y[0], fused(x[1], y[1], x[2] * y[2])); };
"""

_SIDES = """
    int most = 0;
    for (int l = 0; l < LANES; ++l) most = ilane(corners, l) > most ? ilane(corners, l) : most;
    row X[9][3], gap[8], part[8], side[8], half[8];
    for (int k = 0; k < 3; ++k) X[most][k] = zero;  // as behind a polygon's last corner: its first one
    row least = zero, perimeter = zero, last = zero;
    irow lowest = no;
    for (int i = 0; i < most; ++i) {
        int slot[LANES];
        for (int l = 0; l < LANES; ++l) slot[l] = id[l] + (i < ilane(corners, l) ? i : 0);
        for (int k = 0; k < 3; ++k) X[i][k] = of(place, slot, 3, k) - of(place, id, 3, k);
        gap[i] = of(gaps, slot, 1, 0);
        part[i] = corners > i ? of(w_weight, slot, 1, 0) : zero;
        const irow lower = (corners > i) & ((no + (INT)i == 0) | (gap[i] < least));
        least = lower ? gap[i] : least;
        lowest = lower ? no + (INT)i : lowest;
    }
    for (int i = 0; i < most; ++i) {
        row d[3];
        for (int k = 0; k < 3; ++k) d[k] = X[i + 1][k] - X[i][k];
        side[i] = corners > i ? root(dot(d, d)) : zero;
        perimeter += side[i];
        last = corners == i + 1 ? side[i] : last;
    }
    for (int i = 0; i < most; ++i)
        half[i] = corners > i ? (TYPE)0.5 * ((i > 0 ? side[i - 1] : last) + side[i]) : zero;
"""

_MOMENTS = """
    row outline[10], area[10], sums[10], deep[8];
    for (int i = 0; i < 10; ++i) outline[i] = area[i] = sums[i] = zero;
    for (int i = 0; i < most; ++i) {
        add_moments(outline, half[i], X[i]);
        row c[3], y[3];
        cross_of(X[i], X[i + 1], c);
        const row third = dot(n, c) * (TYPE)(0.5 / 3);
        for (int k = 0; k < 3; ++k) y[k] = (TYPE)0.5 * X[i][k];
        add_moments(area, third, y);
        for (int k = 0; k < 3; ++k) y[k] = (TYPE)0.5 * X[i + 1][k];
        add_moments(area, third, y);
        for (int k = 0; k < 3; ++k) y[k] = (TYPE)0.5 * (X[i][k] + X[i + 1][k]);
        add_moments(area, third, y);
    }
    const Spread out = spread_of(outline, outline[0] > (TYPE)0);
    const Spread in = spread_of(area, absolute(area[0]) > (TYPE)1e-6 * outline[0] * outline[0]);
    const irow faced = absolute(area[0]) > (TYPE)1e-6 * outline[0] * outline[0];
    const row even = out.roundness, size = root(out.trace), height = (TYPE)TILT * size, per = one / height;
    const row shape = (TYPE)THIN + (TYPE)BULGE * in.roundness / (in.roundness + (TYPE)BEND);
    const row wide = root(in.trace / out.trace), arm = faced ? shape * wide : zero + (TYPE)LEAST_ARM;
    const row bend = (TYPE)0.5 * height;
    const row raised_by = least > (TYPE)0 ? (TYPE)0.5 * least * least / bend : zero;
    const row lift = least > bend ? least - (TYPE)0.5 * bend : raised_by;
    for (int i = 0; i < most; ++i) {
        deep[i] = (lift - gap[i]) * per;
        const row raised = one + deep[i];
        const row f = deep[i] > (TYPE)1 ? (TYPE)4 * deep[i] : deep[i] > (TYPE)-1 ? raised * raised : zero;
        row y[3];
        for (int k = 0; k < 3; ++k) y[k] = X[i][k] - n[k] * ((TYPE)0.5 * gap[i] + below);
        add_moments(sums, part[i] * half[i] * f, y);
    }
    // where one corner has nearly all the weight, the covariance is a small difference of moments: from the mean, then
    row centred[10] = {sums[0], zero, zero, zero, zero, zero, zero, zero, zero, zero}, middle[3];
    for (int k = 0; k < 3; ++k) middle[k] = sums[0] > (TYPE)0 ? sums[1 + k] / sums[0] : zero;
    for (int i = 0; i < most; ++i) {
        const row raised = one + deep[i];
        const row f = deep[i] > (TYPE)1 ? (TYPE)4 * deep[i] : deep[i] > (TYPE)-1 ? raised * raised : zero;
        row y[3], w = part[i] * half[i] * f;
        for (int k = 0; k < 3; ++k) y[k] = X[i][k] - n[k] * ((TYPE)0.5 * gap[i] + below) - middle[k];
        add_moments(centred, w, y);
    }
    centred[0] = sums[0];
    Spread at_ = spread_of(centred, sums[0] > (TYPE)0);
    for (int k = 0; k < 3; ++k) at_.mean[k] += middle[k];
    const irow round = even > (TYPE)1e-6;
    const row ratio = round ? at_.roundness / (round ? even : one) : zero;
    const row q = larger(smaller(ratio, one), zero);
"""

_REVERSE = """
    // covariance's bar from those of trace and roundness
    auto bar_of = [&](const Spread& o, row trace_bar, row round_bar, row* bar) {
        const row safe = o.wide ? o.trace : one;
        row square = zero;
        for (int k = 0; k < 3; ++k) square += o.c[k] * o.c[k] + (TYPE)2 * o.c[3 + k] * o.c[3 + k];
        const row rate = o.wide ? (TYPE)4 * round_bar / (safe * safe) : zero;
        const row own = trace_bar + rate * (square / safe);
        for (int k = 0; k < 3; ++k) {
            bar[k] = own - rate * o.c[k];
            bar[3 + k] = -rate * o.c[3 + k];
        }
    };
    auto times = [&](const row* c, const row* x, row* y) {
        y[0] = c[0] * x[0] + c[3] * x[1] + c[4] * x[2];
        y[1] = c[3] * x[0] + c[1] * x[1] + c[5] * x[2];
        y[2] = c[4] * x[0] + c[5] * x[1] + c[2] * x[2];
    };
    row XB[9][3], gap_bar[8], half_bar[8], n_bar[3] = {zero, zero, zero}, bar[6];
    for (int i = 0; i <= most; ++i)
        for (int k = 0; k < 3; ++k) XB[i][k] = zero;
    const row arm_bar = -pull_bar * q * ((TYPE)2 - q);
    const row q_bar = -pull_bar * (arm - (TYPE)LEAST_ARM) * ((TYPE)2 - (TYPE)2 * q);
    const irow follows = round & (ratio > (TYPE)0) & (ratio < (TYPE)1);
    const row ratio_bar = follows ? q_bar / even : zero;
    row even_bar = -ratio_bar * ratio, height_bar = zero, lift_bar = zero;
    bar_of(at_, zero, ratio_bar, bar);
    for (int i = 0; i < most; ++i) {
        row off[3], t[3], moved[3];
        const row under = (TYPE)0.5 * gap[i] + below;
        for (int k = 0; k < 3; ++k) off[k] = X[i][k] - n[k] * under - at_.mean[k];
        times(bar, off, t);
        const row raised = one + deep[i], base = part[i] * half[i];
        const row f = deep[i] > (TYPE)1 ? (TYPE)4 * deep[i] : deep[i] > (TYPE)-1 ? raised * raised : zero;
        const row rate = deep[i] > (TYPE)1 ? zero + (TYPE)4 : deep[i] > (TYPE)-1 ? (TYPE)2 * raised : zero;
        row w_bar = zero;
        for (int k = 0; k < 3; ++k) {
            w_bar = fused(centre_bar[k] + t[k], off[k], w_bar);
            moved[k] = base * f * (centre_bar[k] + (TYPE)2 * t[k]) / at_.s;
            XB[i][k] += moved[k];
            n_bar[k] -= moved[k] * under;
        }
        w_bar /= at_.s;
        half_bar[i] = w_bar * part[i] * f;
        const row deep_bar = w_bar * base * rate;
        gap_bar[i] = -deep_bar * per - (TYPE)0.5 * dot(n, moved);
        lift_bar += deep_bar * per;
        height_bar -= deep_bar * deep[i] * per;
    }
    const irow high = least > bend, up = least > (TYPE)0;
    const row least_bar = high ? lift_bar : up ? lift_bar * (TYPE)2 * least * per : zero;
    height_bar -= high ? (TYPE)0.25 * lift_bar : up ? lift_bar * least * least * per * per : zero;
    row across_bar = (TYPE)(0.5 * TILT) * height_bar / size;
    const row safe_within = faced ? in.trace : one, arm_of = faced ? arm_bar : zero;
    const row within_bar = (TYPE)0.5 * arm_of * shape * wide / safe_within;
    across_bar -= (TYPE)0.5 * arm_of * shape * wide / out.trace;
    const row bent = in.roundness + (TYPE)BEND;
    const row compact_bar = arm_of * wide * (TYPE)(BULGE * BEND) / (bent * bent);
    bar_of(out, across_bar, even_bar, bar);
    row shared = zero;  // sum of shares' bars times the shares
    for (int i = 0; i < most; ++i) {
        row off[3], t[3];
        for (int k = 0; k < 3; ++k) off[k] = X[i][k] - out.mean[k];
        times(bar, off, t);
        half_bar[i] += (dot(t, off) - across_bar * out.trace) / out.s;
        for (int k = 0; k < 3; ++k) XB[i][k] += (TYPE)2 * half[i] * t[k] / out.s;
        int slot[LANES];
        for (int l = 0; l < LANES; ++l) slot[l] = id[l] + (i < ilane(corners, l) ? i : 0);
        const row share_bar = corners > i ? of(share_bars, slot, 1, 0) : zero;
        half_bar[i] += share_bar / perimeter;
        shared += share_bar * half[i] / perimeter;
        gap_bar[i] += lowest == i ? least_bar : zero;
    }
    bar_of(in, within_bar, compact_bar, bar);
    for (int i = 0; i < most; ++i) {
        row c[3], third_bar = zero;
        const row *x = X[i], *y = X[i + 1];
        cross_of(x, y, c);
        const row third = dot(n, c) * (TYPE)(0.5 / 3);
        for (int j = 0; j < 3; ++j) {
            row off[3], t[3];
            for (int k = 0; k < 3; ++k)
                off[k] = (TYPE)0.5 * (j == 0 ? x[k] : j == 1 ? y[k] : x[k] + y[k]) - in.mean[k];
            times(bar, off, t);
            third_bar += (dot(t, off) - within_bar * in.trace) / in.s;
            for (int k = 0; k < 3; ++k) {
                const row moved = third * t[k] / in.s;
                if (j != 1) XB[i][k] += moved;
                if (j != 0) XB[i + 1][k] += moved;
            }
        }
        const row part_bar = faced ? third_bar * (TYPE)(0.5 / 3) : zero;
        row yn[3], nx[3];
        cross_of(y, n, yn);
        cross_of(n, x, nx);
        for (int k = 0; k < 3; ++k) {
            XB[i][k] += part_bar * yn[k];
            XB[i + 1][k] += part_bar * nx[k];
            n_bar[k] += part_bar * c[k];
        }
    }
    for (int i = 0; i < most; ++i) {
        const row next = i + 1 < most ? (corners > i + 1 ? half_bar[i + 1] : half_bar[0]) : half_bar[0];
        const row side_bar = (TYPE)0.5 * (half_bar[i] + next) - shared / perimeter;
        const irow some = (corners > i) & (side[i] > (TYPE)0);
        const row per_side = some ? side_bar / (some ? side[i] : one) : zero;
        for (int k = 0; k < 3; ++k) {
            const row along = per_side * (X[i + 1][k] - X[i][k]);
            XB[i + 1][k] += along;
            XB[i][k] -= along;
        }
    }
    // x are places from the first corner's, which moves too: the area's sums depend on it if b's face tilts against n
    for (int k = 0; k < 3; ++k) {
        XB[0][k] = centre_bar[k];
        for (int i = 1; i < most; ++i) XB[0][k] -= corners > i ? XB[i][k] : zero;
    }
"""


@dataclass(frozen=True)
class PolygonText:
    """The texts, with numbers of ``contact/face_friction.py`` and the unit of rounding.

    ``id`` are the polygons' first slots and ``corners`` their counts, ``n`` their normals and ``below`` the radius of
    b; ``place``, ``gaps`` and ``w_weight`` arrays by slot. ``of(x, slots, step, k)`` gathers.
    """

    face_tilt: float
    line_arm: float
    line: float
    bulge: float
    bend: float
    tiny: float

    @property
    def functions(self) -> str:
        """Constants and functions, once."""
        numbers = {
            "TILT": self.face_tilt, "LEAST_ARM": self.line_arm, "THIN": self.line, "BULGE": self.bulge,
            "BEND": self.bend,
        }  # fmt: skip
        constants = "".join(f"    constexpr double {name} = {value!r};\n" for name, value in numbers.items())
        return f"{constants}    const TYPE TINY = {self.tiny!r};\n{_FUNCTIONS}"

    @property
    def sides(self) -> str:
        """Text that finds ``half`` and ``perimeter``, whose quotient is the share of a corner ``i < most``."""
        return _SIDES

    @property
    def forward(self) -> str:
        """Text that follows it, up to the mean ``at_.mean``, and ``arm`` and ``q``, which give the pull."""
        return _MOMENTS

    @property
    def reverse(self) -> str:
        """Text that follows ``forward`` where bars are given: ``centre_bar``, ``pull_bar`` and ``share_bars``.

        Its results are the bars ``XB`` of the corners' places, ``gap_bar`` and ``n_bar``.
        """
        return _REVERSE

"""Formulas of a flat face's friction on a plane that stands still, those of ``contact/face_on_plane.py``.

And text that finds centre and pull of the patches that begin with contact ``c``, and of its reverse, for LANES worlds
side by side. Sums over the corners are loops, what is around them formulas.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from .formulas import Formulas, Row
from .free_motion import assigned
from .vectors import Quaternion, Vector

__all__ = ["PatchFormulas"]


@dataclass(frozen=True)
class PatchFormulas:
    """The formulas, with numbers of ``collision/features.py`` and the unit of rounding."""

    face_tilt: float
    line_arm: float
    tiny: float

    @staticmethod
    def over_plane(f: Formulas) -> tuple[list[Row], list[Row]]:
        """Pose of b as inputs; the plane's normal in its frame, and the gap of a corner at b's origin."""
        pose, along, origin = f.inputs("pose", 7), Vector.of(f.inputs("along", 3)), Vector.of(f.inputs("origin", 3))
        n = along * (1.0 / along.dot(along).root())
        base = n.dot(Vector.of(pose[:3]) - origin) - f.input("radii")
        return pose, [*Quaternion.of(pose[3:]).rotate_inverse(n).rows, base]

    @staticmethod
    def lifted(gap: Row, height: Row) -> Row:
        """Height from which the weights count."""
        bend = 0.5 * height
        return (gap > bend).pick(gap - 0.5 * bend, (gap > 0.0).pick(0.5 * gap * gap / bend, 0.0))

    @staticmethod
    def corner(f: Formulas) -> tuple[list[Row], list[Row], Vector]:
        """Inputs (up, base, lift), moments of a corner's weight about the first one, and its place from that."""
        up, base, lift = f.inputs("up", 3), f.input("up[3]"), f.input("lift")
        x, first = Vector.of(f.inputs("x", 3)), Vector.of(f.inputs("start", 3))
        deep = (lift - base - Vector.of(up).dot(x)) * f.input("per_height")
        raised = 1.0 + deep
        weight = f.input("part") * (deep > 1.0).pick(4.0 * deep, (deep > -1.0).pick(raised * raised, 0.0))
        r = x - first
        y = r * weight
        second = [r.x * y.x, r.y * y.y, r.z * y.z, r.x * y.y, r.x * y.z, r.y * y.z]
        return [*up, base, lift], [weight, *y.rows, *second], r

    def found(self, f: Formulas) -> tuple[list[Row], list[Row], list[Row]]:
        """Inputs (pose of b), mean and covariance of a patch's weight, and its results (centre, pull)."""
        pose, s, start = f.inputs("pose", 7), f.inputs("s", 10), Vector.of(f.inputs("start", 3))
        arm, even = f.input("face[0]"), f.input("face[1]")
        some = s[0] > 0.0
        shrink = 1.0 / some.pick(s[0], 1.0)
        m = Vector.of(s[1:4]) * shrink
        raw = (s[4] + s[5] + s[6]) * shrink
        xx, yy, zz = (s[4 + i] * shrink - a * a for i, a in enumerate(m.rows))
        xy, xz, yz = s[7] * shrink - m.x * m.y, s[8] * shrink - m.x * m.z, s[9] * shrink - m.y * m.z
        trace = xx + yy + zz
        wide = trace > self.tiny * raw
        square = xx * xx + yy * yy + zz * zz + 2.0 * (xy * xy + xz * xz + yz * yz)
        safe = wide.pick(trace, 1.0)
        roundness = wide.pick(2.0 - 2.0 * square / (safe * safe), 0.0)
        flat = even > 1e-6
        ratio = flat.pick(roundness / flat.pick(even, 1.0), 0.0)
        least = (ratio > 0.0).pick(ratio, 0.0)
        q = (least < 1.0).pick(least, 1.0)
        pull = 1.0 - self.line_arm - (arm - self.line_arm) * q * (2.0 - q)
        centre = Vector.of(pose[:3]) + Quaternion.of(pose[3:]).rotate(start + m)
        return pose, [*m.rows, xx, yy, zz, xy, xz, yz], [*centre.rows, pull]

    @functools.cached_property
    def _around(self) -> str:
        """Text up to the moments ``s``, for lanes where ``begins``; needs ``corners`` and b's ``pose``."""
        plane = Formulas("p")
        _, up = self.over_plane(plane)
        low = Formulas("q")
        lift = self.lifted(low.input("least + up[3]"), low.input("height"))
        corner = Formulas("r")
        _, moments, _ = self.corner(corner)
        added = "".join(f"    s[{i}] += counts_here ? {corner.name(x)} : zero;\n" for i, x in enumerate(moments))
        return f"""
            row face[3], along[3], origin[3], start[3], up[4];
            for (int i = 0; i < 3; ++i) {{
                face[i] = of_worlds(patch_arm + 3 * c + i, patch_arm_stride);
                along[i] = of_worlds(a1 + 3 * c + i, a1_stride);
                origin[i] = of_worlds(a0 + 3 * c + i, a0_stride);
                start[i] = of_worlds(b0 + 3 * c + i, b0_stride);
            }}
            const row radii =
                of_worlds(radius_a + c, radius_a_stride) + of_worlds(radius_b + c, radius_b_stride);
            int most = 0;
            for (int l = 0; l < LANES; ++l) most = ilane(corners, l) > most ? ilane(corners, l) : most;
{plane.texts(up)[0]}{assigned(plane, "up", up)}
            auto corner = [&](int i, row* x) {{
                const int slot = c + i < capacity ? c + i : capacity - 1;  // other worlds may have fewer
                for (int k = 0; k < 3; ++k) x[k] = of_worlds(b0 + 3 * slot + k, b0_stride);
                return of_worlds(weight + slot, weight_stride);
            }};
            row least = zero, lowest[3] = {{zero, zero, zero}};
            for (int i = 0; i < most; ++i) {{
                row x[3];
                corner(i, x);
                const row rise = fused(up[0], x[0], fused(up[1], x[1], up[2] * x[2]));
                const irow lower = (corners > i) & ((no + (INT)i == 0) | (rise < least));
                least = lower ? rise : least;
                for (int k = 0; k < 3; ++k) lowest[k] = lower ? x[k] : lowest[k];
            }}
            const row height = begins ? (TYPE){self.face_tilt!r} * face[2] : one, per_height = one / height;
{low.texts([lift])[0]}
            const row lift = {low.name(lift)};
            row s[10] = {{zero, zero, zero, zero, zero, zero, zero, zero, zero, zero}};
            for (int i = 0; i < most; ++i) {{
                row x[3];
                const row part = corner(i, x);
                const irow counts_here = corners > i;
{corner.texts(moments)[0]}{added}
            }}
"""

    @property
    def forward(self) -> str:
        """Text of a loop's body that writes centre and pull of patches into ``found`` where they begin."""
        f = Formulas("t")
        *_, results = self.found(f)
        return f"{self._around}{f.texts(results)[0]}{assigned(f, 'found', results)}"

    @property
    def reverse(self) -> str:
        """Text that turns ``found_bar`` (centre, pull) into ``pose_bar``, the derivatives by the pose of b."""
        f = Formulas("t")
        pose, spread, results = self.found(f)
        bars = f.gradient([*zip(results, f.inputs("found_bar", 4), strict=True)], [*pose, *spread])
        # A weight moves the mean m and the covariance C: dL/dw = (m' x + x C' x - C : C')/s, with m' = dL/dm and so on,
        # s the sum of the weights and x from the mean. C : C' = 0, since roundness is the same for any multiple of C.
        corner = Formulas("u")
        wrt, moments, place = self.corner(corner)
        m, m_bar = (Vector.of(corner.inputs(name, 3)) for name in ("mean", "mean_bar"))
        xx, yy, zz, xy, xz, yz = corner.inputs("spread_bar", 6)
        x = place - m
        turned = Vector(
            xx * x.x + 0.5 * (xy * x.y + xz * x.z), yy * x.y + 0.5 * (xy * x.x + yz * x.z),
            zz * x.z + 0.5 * (xz * x.x + yz * x.y),
        )  # fmt: skip
        parts = corner.gradient([(moments[0], (m_bar + turned).dot(x) * corner.input("shrink"))], wrt)
        added = "".join(f"    by[{i}] += counts_here ? {corner.name(x)} : zero;\n" for i, x in enumerate(parts))
        low = Formulas("v")
        gap = low.input("least + up[3]")
        (gap_bar,) = low.gradient([(self.lifted(gap, low.input("height")), low.input("by[4]"))], [gap])
        plane = Formulas("w")
        pose, up = self.over_plane(plane)
        last = plane.gradient([*zip(up, plane.inputs("by", 4), strict=True)], pose)
        return f"""{self._around}
            row pose_bar[7], by[5] = {{zero, zero, zero, zero, zero}};  // of up, base and lift
            row all_bar[16], mean[3];
{f.texts([*bars, *spread[:3]])[0]}{assigned(f, "all_bar", bars)}{assigned(f, "mean", spread[:3])}
            const row *mean_bar = all_bar + 7, *spread_bar = all_bar + 10, shrink = begins ? one / s[0] : zero;
            for (int i = 0; i < most; ++i) {{
                row x[3];
                const row part = corner(i, x);
                const irow counts_here = corners > i;
{corner.texts(parts)[0]}{added}
            }}
{low.texts([gap_bar])[0]}
            for (int k = 0; k < 3; ++k) by[k] = fused(lowest[k], {low.name(gap_bar)}, by[k]);
            by[3] += {low.name(gap_bar)};
{plane.texts(last)[0]}{assigned(plane, "pose_bar", last)}
            for (int k = 0; k < 7; ++k) pose_bar[k] += all_bar[k];
"""

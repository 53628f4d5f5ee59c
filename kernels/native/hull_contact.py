"""Formulas of the contacts of hulls: those of ``collision/contact_geometry.py`` and ``collision/edge_blend.py``.

A contact over a face (FLAT, CLIP, DROP), one of points and edges (POINT, LINE, CROSS), the corner of a polygon by
itself, and the blend of a polygon and a crossing. The features of a contact are the inputs ``la0``, ``la1``, ``la2``,
``lb0``, ``lb1``, and masks of its kind. As in ``contact_row.py``, sides are the bodies' numbers ``xa`` and ``xb``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .contact_row import Contact
from .formulas import Formulas, Mask, Row
from .vectors import Quaternion, Vector

__all__ = ["ApartContact", "Blend", "FaceContact", "face_corner"]


def _poses(xa: Sequence[Row], xb: Sequence[Row]) -> tuple[Vector, Vector, Quaternion, Quaternion]:
    return Vector.of(xa[:3]), Vector.of(xb[:3]), Quaternion.of(xa[3:7]), Quaternion.of(xb[3:7])


def _core_point(f: Formulas, xa: Sequence[Row], xb: Sequence[Row]) -> tuple[Vector, Vector, Vector]:
    """Points on a's plane and on b's core, and the plane's normal before it is made a unit."""
    ta, tb, qa, qb = _poses(xa, xb)
    la0, la1, la2, lb0, lb1 = (Vector.of(f.inputs(name, 3)) for name in ("la0", "la1", "la2", "lb0", "lb1"))
    clip, drop = f.mask("clip"), f.mask("drop")
    pa, pb, na = ta + qa.rotate(la0), tb + qb.rotate(lb0), qa.rotate(la1)
    side, of_b = qa.rotate(la2), qb.rotate(lb1)  # the line's direction, or the normal of b's face
    back = pa - pb
    share = 1.0 / clip.pick(side.dot(of_b), drop.pick(of_b.dot(na), 1.0))
    clipped = pb + of_b * (side.dot(back) * share)
    dropped = pa - na * (of_b.dot(back) * share)
    return pa, clipped.over(clip, dropped.over(drop, pb)), na


def _over_face(f: Formulas, xa: Sequence[Row], xb: Sequence[Row]) -> tuple[Vector, Vector, Row]:
    """Point on b's core, unit normal, and the point's height over a's plane."""
    pa, pb, na = _core_point(f, xa, xb)
    n = na * (1.0 / na.dot(na).root())
    return pb, n, n.dot(pb - pa)


def face_corner(f: Formulas) -> tuple[list[Row], list[Row]]:
    """Both poses, 14 inputs; and of a polygon's corner its place, its gap and the normal: 7 rows."""
    xa, xb = f.inputs("xa", 7), f.inputs("xb", 7)
    pb, n, height = _over_face(f, xa, xb)
    return [*xa, *xb], [*pb.rows, height - f.input("ra") - f.input("rb"), *n.rows]


class FaceContact(Contact):
    """A contact over a face of a: FLAT, CLIP or DROP."""

    def _locate(self, xa: list[Row], xb: list[Row]) -> None:
        f = self.f
        pb, self.n, height = _over_face(f, xa, xb)
        ra, rb = f.input("ra"), f.input("rb")
        self.gap = height - ra - rb
        self.point = pb + self.n * (0.5 * (ra - rb) - 0.5 * height)
        self.arms = self.point - Vector.of(xa[:3]), self.point - Vector.of(xb[:3])


class ApartContact(Contact):
    """A contact of two points, of a point and an edge, or of two edges: POINT, LINE or CROSS."""

    def _locate(self, xa: list[Row], xb: list[Row]) -> None:
        f = self.f
        ta, tb, qa, qb = _poses(xa, xb)
        la0, la1, lb0, lb1 = (Vector.of(f.inputs(name, 3)) for name in ("la0", "la1", "lb0", "lb1"))
        line, cross, way = f.mask("line"), f.mask("cross"), f.input("way")
        ra, rb = f.input("ra"), f.input("rb")
        zero, one = f.row(0.0), f.row(1.0)
        pa, pb, da, db = ta + qa.rotate(la0), tb + qb.rotate(lb0), qa.rotate(la1), qb.rotate(lb1)
        r = pb - pa
        # two edges
        c = da.cross(db)
        sine2 = cross.pick(c.dot(c), one)
        crossed = da * (r.cross(db).dot(c) / sine2)
        # otherwise, as in ``contact_row.py``
        foot = (da * r.dot(da)).over(line, Vector.zero(f))
        off = r - foot
        apart = ~cross & (off.dot(off) > 0.0)
        steep = da.z.size() > 0.9
        across = Vector(steep.pick(one, 0.0), zero, steep.pick(zero, 1.0))
        out = off.over(apart, (across - da * across.dot(da)).over(line, Vector(zero, zero, one)))
        length = cross.pick(sine2, out.dot(out)).root()
        self.n = n = c.over(cross, out) * (apart.pick(one, way) / length)
        distance = cross.pick(n.dot(r), apart.pick(length, 0.0))
        self.gap = distance - ra - rb
        middle = (pa + crossed + n * (0.5 * distance)).over(cross, (pa + foot + pb) * 0.5)
        self.point = middle + n * (0.5 * (ra - rb))
        self.arms = self.point - ta, self.point - tb


@dataclass(frozen=True)
class Blend:
    """The part of the stiffness that a crossing has beside a polygon, with the numbers of ``edge_blend.py``."""

    faces: float
    flat: float
    oblique: float

    def part(self, f: Formulas) -> tuple[list[Row], Row]:
        """Both poses, 14 inputs; and the part.

        Inputs besides: ``edges``, a row of ``blend_edges``; ``fa0`` and ``fa1`` of the polygon's first corner, and the
        features of the lowest one.
        """
        xa, xb = f.inputs("xa", 7), f.inputs("xb", 7)
        ta, tb, qa, qb = _poses(xa, xb)
        m = f.inputs("edges", 18)
        rows = [Vector.of(m[i : i + 3]) for i in range(0, 18, 3)]
        sign, width = rows[5].x, rows[5].y
        c = qa.rotate(rows[1]).cross(qb.rotate(rows[3]))
        normal = c * (1.0 / self._length(c))
        edges = normal.dot((tb + qb.rotate(rows[2])) - (ta + qa.rotate(rows[0]))) * sign
        origin = ta + qa.rotate(Vector.of(f.inputs("fa0", 3)))
        up = qa.rotate(Vector.of(f.inputs("fa1", 3)))
        face = up.dot((tb + qb.rotate(rows[4])) - origin)
        _, low, _ = _core_point(f, xa, xb)
        bent = normal.cross(up)
        some = bent.dot(bent) > 0.0
        sine = some.pick(self._length(bent), 0.0)
        by_face = self._smooth((edges - face) / (self.faces * width)) * self._smooth(
            (sine - self.flat) * (1.0 / (self.oblique - self.flat))
        )
        greater = (edges > face).pick(edges, face)
        off = self._smooth((up.dot(low - origin) - greater).size() / width - 0.5)
        return [*xa, *xb], 1.0 - (1.0 - by_face) * (1.0 - off)

    @staticmethod
    def _length(x: Vector) -> Row:
        """Length of a vector; of that of zeros 1, so that its inverse is finite."""
        square = x.dot(x)
        some: Mask = square > 0.0
        return some.pick(square, 1.0).root()

    @staticmethod
    def _smooth(x: Row) -> Row:
        c = (x > 0.0).pick((x < 1.0).pick(x, 1.0), 0.0)
        return c * c * (3.0 - 2.0 * c)

"""Vectors, matrices and rotations of rows, for formulas (``formulas.py``), as Warp defines them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .formulas import Formulas, Mask, Row

__all__ = ["Matrix", "Quaternion", "Vector"]


@dataclass(frozen=True)
class Vector:
    """Three rows."""

    x: Row
    y: Row
    z: Row

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Vector:
        """The vector of three rows."""
        x, y, z = rows
        return cls(x, y, z)

    @classmethod
    def zero(cls, f: Formulas) -> Vector:
        """The vector of zeros."""
        return cls(f.row(0.0), f.row(0.0), f.row(0.0))

    @property
    def rows(self) -> list[Row]:
        """Its components."""
        return [self.x, self.y, self.z]

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other: Vector) -> Vector:
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def __neg__(self) -> Vector:
        return Vector(-self.x, -self.y, -self.z)

    def __mul__(self, by: Row | float) -> Vector:
        return Vector(self.x * by, self.y * by, self.z * by)

    def dot(self, other: Vector) -> Row:
        """Inner product."""
        return self.x * other.x + self.y * other.y + self.z * other.z

    def cross(self, other: Vector) -> Vector:
        """Outer product."""
        a, b = self, other
        return Vector(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)

    def over(self, mask: Mask, other: Vector) -> Vector:
        """Itself where the mask holds, the other elsewhere."""
        pairs = zip(self.rows, other.rows, strict=True)
        return Vector.of([mask.pick(a, b) for a, b in pairs])


@dataclass(frozen=True)
class Matrix:
    """Three rows of three, one after another."""

    entries: tuple[Row, ...]

    def row(self, i: int) -> Vector:
        """One of its rows."""
        return Vector.of(self.entries[3 * i : 3 * i + 3])

    def column(self, i: int) -> Vector:
        """One of its columns."""
        return Vector.of(self.entries[i::3])

    def __matmul__(self, x: Vector) -> Vector:
        return Vector.of([self.row(i).dot(x) for i in range(3)])

    def __mul__(self, by: Row) -> Matrix:
        return Matrix(tuple(x * by for x in self.entries))

    def trace(self) -> Row:
        """Sum of its diagonal."""
        return self.entries[0] + self.entries[4] + self.entries[8]

    def inverse(self) -> Matrix:
        """Its inverse; the determinant must not be 0."""
        a, b, c = (self.row(i) for i in range(3))
        columns = (b.cross(c), c.cross(a), a.cross(b))
        shrink = 1.0 / a.dot(columns[0])
        return Matrix(tuple(column.rows[i] * shrink for i in range(3) for column in columns))


@dataclass(frozen=True)
class Quaternion:
    """Imaginary part and real part."""

    axis: Vector
    w: Row

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Quaternion:
        """That of four rows, the real part last."""
        return cls(Vector.of(rows[:3]), rows[3])

    @property
    def rows(self) -> list[Row]:
        """Its components, the real part last."""
        return [*self.axis.rows, self.w]

    def __mul__(self, other: Quaternion) -> Quaternion:
        a, b = self, other
        return Quaternion(a.axis.cross(b.axis) + b.axis * a.w + a.axis * b.w, a.w * b.w - a.axis.dot(b.axis))

    def inverse(self) -> Quaternion:
        """The opposite turn, of a unit."""
        return Quaternion(-self.axis, self.w)

    def rotate(self, x: Vector) -> Vector:
        """Turned vector, by Warp's formula, which matters where it is not a unit."""
        q, w = self.axis, self.w
        return x * (2.0 * w * w - 1.0) + q * (2.0 * q.dot(x)) + q.cross(x) * (2.0 * w)

    def rotate_inverse(self, x: Vector) -> Vector:
        """Vector turned back."""
        return self.inverse().rotate(x)

    def normalized(self) -> Quaternion:
        """The unit; that of no turn for one of size 0."""
        norm2 = self.axis.dot(self.axis) + self.w * self.w
        some = norm2 > 0.0
        shrink = 1.0 / some.pick(norm2, 1.0).root()
        return Quaternion(self.axis * shrink, some.pick(self.w * shrink, 1.0))

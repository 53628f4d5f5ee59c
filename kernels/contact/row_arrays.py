"""Contact rows: a contact as the solvers see it."""

import functools
from dataclasses import dataclass
from typing import Any

import warp as wp

from ..core.precision import precision
from ..core.struct_arguments import filled
from . import law

__all__ = ["ContactRows", "make"]


def make(dtype: Any, resists: bool = False, softens: bool = False) -> Any:
    """The struct ``Rows`` for one precision and contact law: the arrays of ``ContactRows`` as one argument."""
    return _make(dtype, resists, softens)


@functools.cache
def _make(dtype: Any, resists: bool, softens: bool) -> Any:
    vec3 = precision(dtype).vec3
    Coefficients = law.make(dtype, resists, softens).Coefficients

    @wp.struct
    class Rows:
        """Contact rows; fields as in ``ContactRows``."""

        body_a: wp.array2d(dtype=int)
        body_b: wp.array2d(dtype=int)
        normal: wp.array2d(dtype=vec3)
        arm_a: wp.array2d(dtype=vec3)
        arm_b: wp.array2d(dtype=vec3)
        twist: wp.array2d(dtype=vec3)
        coefficients: wp.array2d(dtype=Coefficients)
        centre: wp.array2d(dtype=vec3)
        pull: wp.array2d(dtype=dtype)

    return Rows


@dataclass(frozen=True)
class ContactRows:
    """Contact rows [W, C]; see ``contact_rows.py``. Frozen, since ``struct`` is filled once."""

    body_a: wp.array  # int32
    body_b: wp.array  # int32
    normal: wp.array  # vec3
    arm_a: wp.array  # vec3, m
    arm_b: wp.array  # vec3, m
    twist: wp.array  # vec3, m; see ``face_friction.py``
    coefficients: wp.array  # of ``law.py``; vec4 without resistance: a [N s], b [kg], mu, s0 [m/s]
    centre: wp.array  # vec3, m: of pressure, of the patch that begins with a contact
    pull: wp.array  # scalar [1]: how far its friction is drawn in there
    resists: bool = False  # whether the contacts have rolling and torsional resistance
    softens: bool = False  # whether the contacts have a contact function, see ``softened.py``

    @property
    def law(self) -> tuple[bool, bool]:
        """Arguments of the factories of solvers."""
        return self.resists, self.softens

    @functools.cached_property
    def struct(self) -> Any:
        """The struct ``Rows`` of these arrays."""
        struct = make(self.pull.dtype, self.resists, self.softens)
        return filled(struct, **{name: getattr(self, name) for name in struct.vars})

    @classmethod
    def allocate(
        cls, worlds: int, capacity: int, dtype: Any, device: Any, resists: bool = False, softens: bool = False
    ) -> "ContactRows":
        """Rows for ``worlds`` worlds of at most ``capacity`` contacts."""
        p = precision(dtype)
        shape = (worlds, capacity)
        types = (wp.int32, wp.int32, *[p.vec3] * 4, law.make(dtype, resists, softens).Coefficients, p.vec3, dtype)
        return cls(*(wp.zeros(shape, dtype=t, device=device) for t in types), resists, softens)

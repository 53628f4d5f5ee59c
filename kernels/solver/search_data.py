"""Numbers of the rows in which the contacts of an island are stored along a step.

A row holds one number of all contacts. Vectors take three rows from the one named on. Native code names them as
``ROW_MU`` and the like, see ``numbered``.
"""

from __future__ import annotations

import enum
import re

__all__ = ["HardRow", "SearchRow", "SoftenedRow", "numbered", "row_count", "row_number"]


class SearchRow(enum.IntEnum):
    """First row of each quantity, where contacts are hard or softened, without resistance."""

    A = 0
    """a [N s] of the contact law."""
    B = 1
    """b [kg]."""
    MU = 2
    """Coefficient of friction."""
    S0 = 3
    """Smoothed slip at the start of the step [m/s]."""
    NORMAL_SPEED = 4
    """Normal part of the relative velocity [m/s]; slip follows it, so that the two are one motion."""
    SLIP = 5
    """Tangential part [m/s], a vector."""
    NORMAL_CHANGE = 8
    """Change of the normal part along a step of length 1 [m/s]."""
    SLIP_CHANGE = 9
    """Change of slip, a vector."""
    LOAD = 12
    """Normal impulse [N s]; a - b y, at most 0, where the contact does not act."""
    DRAG = 13
    """mu/s [s/m]: friction in parts of the load for a unit of slip."""
    ROLLING = 14
    """Coefficient of rolling resistance [m]; this and the following with resistance alone."""
    TORSIONAL = 15
    """Coefficient of torsional resistance [m]."""
    SLOW = 16
    """Stiction tolerance of resistance [rad/s]."""
    SPIN = 17
    """Relative angular velocity about the normal [rad/s]; rolling follows it."""
    ROLL = 18
    """Its part in the plane of contact [rad/s], a vector."""
    SPIN_CHANGE = 21
    """Change of spin."""
    ROLL_CHANGE = 22
    """Change of rolling, a vector."""
    ROLL_DRAG = 25
    """Rolling moment in parts of the load for a unit of rolling [m s/rad]."""
    SPIN_DRAG = 26
    """The same of spin."""


class SoftenedRow(enum.IntEnum):
    """Rows behind those of the law, where contacts are softened."""

    BETA = 0
    """Width [m]."""
    MODE = 1
    """Softening function, see ``contact/softened.py``."""
    EXCESS = 2
    """a - b y at a place along the step [N s]."""
    RATE = 3
    """Rate of y along the step [m/s]."""
    BEND = 4
    """Its second derivative [m/s]."""


class HardRow(enum.IntEnum):
    """Rows behind those of the law, where contacts are hard and without resistance; each a vector."""

    NORMAL = 0
    """Normal, from the island's first body of the pair to the second."""
    ARM_I = 3
    """Contact point from the first body's centre of mass [m]."""
    ARM_J = 6
    """From the second's [m]."""
    FRICTION = 9
    """Friction of the primal-dual method, in parts of its limit."""
    TWIST = 12
    """Motion at the contact for a unit of spin [m]."""


_LAW_ROWS = {False: SearchRow.ROLLING, True: SearchRow.SPIN_DRAG + 1}
"""Rows of the law, without and with resistance."""


def row_count(resists: bool) -> int:
    """Rows of a contact."""
    return int(_LAW_ROWS[resists]) + HardRow.TWIST + 3


def row_number(name: str, resists: bool = False) -> int:
    """Number of the row of this name: one of ``SearchRow``, or one behind those of the law."""
    for rows in (SoftenedRow, HardRow):
        if name in rows.__members__:
            return int(_LAW_ROWS[resists]) + int(rows[name])
    return int(SearchRow[name])


def numbered(code: str, resists: bool = False) -> str:
    """Native code with the numbers of rows in place of their names, ``ROW_MU``."""
    return re.sub(r"\bROW_([A-Z0-9_]+)\b", lambda found: str(row_number(found[1], resists)), code)

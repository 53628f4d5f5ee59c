"""Numbers of the treatment of slip that changes (``slip.py``), and its formulas for worlds side by side."""

from ..native.slip_adjoint import SlipFormulas

__all__ = [
    "BLUR", "FORMULAS", "FRICTION_SCALE", "IDLE", "LANDING", "MOST", "STEADY", "UNSTEADY", "WEIGHTLESS",
]  # fmt: skip

STEADY = 0.05
UNSTEADY = 0.25
"""Sizes of T between which the weight of a contact rises from 0 to 1, in parts of gravity over the step.

While a body slides and slows down, T is not zero either, but balanced by a depth of (h + d/k) |T| that is given back
when slip stops. The weight asks for T alone, which hardly depends on that depth: it is then the same from step to step,
and so is the part 1 - weight of T for which there is depth. (A weight that also asks for the normal speed left over
falls as the depth is made: it took the depth away and gave it back by turns, and small changes grew a thousandfold.)
The same happens, from T of about a half of gravity on, where the rise is wide."""

WEIGHTLESS = 0.1
"""Acceleration that stands for gravity where there is less [m/s^2]."""

LANDING = 1.0
"""Speed of approach over the step at which these fall to a half, in parts of gravity; they fall on with the square."""

MOST = 4.0
"""A guess is at most 1 + 4 mu^2 times the normal impulse with T: for a ball that slides, with two fifths m r^2, the
factor is 1 + 3.5 mu^2."""

BLUR = 0.1
"""Width over which changes of normal velocity are cut off at 0, in parts of gravity over the step."""

IDLE = 0.002
"""Contacts whose normal impulse is smaller than b |T| times this have a weight below 1: it is 0 for no impulse."""

FRICTION_SCALE = 1000.0
"""Factor by which a row of friction raises the coefficient of friction and lowers the normal impulse."""

FORMULAS = SlipFormulas(
    steady=STEADY,
    unsteady=UNSTEADY,
    weightless=WEIGHTLESS,
    landing=LANDING,
    most=MOST,
    blur=BLUR,
    idle=IDLE,
    friction_scale=FRICTION_SCALE,
)
"""The formulas with these numbers."""

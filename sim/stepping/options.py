"""Numerical options of a simulator."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from ...plain import plain_numbers
from ..errors import ModelError, SimulationWarning
from ..scene.model import Model
from ..validate import index, number
from .contact_functions import HARD, ContactFunction, Hard, LogBarrier, Softplus

__all__ = ["SimulatorOptions"]

FEW_BODIES = 8
"""Most moving bodies of a model that resolves slip by default; in piles, most steps would take further solves."""

LONG = 1.0
"""Step [s] from which on the user likely meant milliseconds."""

ROUGH = 0.01
"""Tolerance above which a warning is given."""

FAST_STICTION = 0.1
"""Stiction speed [m/s] above which a warning is given."""


@plain_numbers
@dataclass(frozen=True)
class SimulatorOptions:
    """Options of a step, checked on construction.

    Args:
        step: Step size h [s].
        stiction: Slip speed below which friction is viscous, eps of the contact law [m/s].
        angular_stiction: Angular speed below which rolling and torsional resistance are viscous [rad/s]. A body that
            they hold creeps at about this speed, a rolling body at its radius times it.
        tolerance: Norm of the energy's gradient, relative to the momentum change, at which a step counts as solved;
            by default 1e-5 in float32 and 1e-12 in float64.
        max_iterations: Newton iterations a step.
        restitution_threshold: Impact speed [m/s] up to which nothing bounces; restitution grows from there to its value
            at twice that speed. Where gravity gives less in two steps, that counts instead, but at least a hundredth of
            this.
        tangential_restitution: Part of the slip before an impact that friction gives back reversed where it can hold
            the contact, 0 to 1: 0 for balls that roll after it, 1 for superballs.
        impact_rounds: Rounds of impacts one after the other within a step of a world; what is left after them is taken
            at once.
        contact_capacity: Limit on the contacts of a world; more are a ``CapacityError``. By default there is no limit:
            a world can hold the contacts of all pairs of shapes at once where these are 256 or less, in larger scenes
            64 a body (256 where contact is softened). Where a world meets more, the capacity grows, up to the contacts
            of all pairs of shapes (``kernels/collision/pair_table.py``). The worlds that exceeded it are run again from
            their start, with the same results, and a warning is given.
        contact_margin: Distance [m] within which contacts are listed whatever the speed; by default 0.001 m, and
            0.1 m in quasi-dynamic stepping. It has an effect on speed only: a step that needs more is detected again.
        quasi_dynamic: Drop momentum: every step starts from rest, and the velocity is only what the step moved.
            A sliding contact then rides on a gap of up to step * mu * slip speed.
        threads: CPU threads that share the worlds; by default all cores.
        allow_overlap: Whether a rollout may start with shapes deep inside each other (over a tenth of half the width
            of the thinner one); they are thrown apart.
        segment: Steps recorded in one graph; a longer segment costs memory, a shorter one overhead.
        even_faces: Whether friction of a flat face acts as under even pressure, or at its corners ("Friction of a face"
            in ``docs/contact.md``).
        resolve_slip: Whether a step in which slip starts or stops abruptly takes up to four solves, so that a body that
            lands while it slides does not hop ("Slip that changes" in ``docs/contact.md``). On by default (None) in
            models of at most 8 bodies that move: in a pile bodies land in most steps, which take 1.7 times as long.
            Not for quasi-dynamic stepping, which has no such hops. Shapes with restitution have steps of their own.
        softening: Contact function: ``Hard()``, or a softened one, for steps and gradients or for gradients alone.
    """

    step: float = 0.005
    stiction: float = 1e-3
    angular_stiction: float = 0.02
    restitution_threshold: float = 0.1
    tangential_restitution: float = 0.0
    impact_rounds: int = 8
    tolerance: float | None = None
    max_iterations: int = 60
    contact_capacity: int | None = None
    contact_margin: float | None = None
    quasi_dynamic: bool = False
    threads: int | None = None
    allow_overlap: bool = False
    segment: int = 32
    even_faces: bool = True
    resolve_slip: bool | None = None
    softening: ContactFunction = HARD

    def __post_init__(self) -> None:
        if not isinstance(self.softening, (Hard, Softplus, LogBarrier)):
            raise ModelError(f"softening must be Hard(), Softplus(width) or LogBarrier(width), got {self.softening!r}")
        for name, unit in (
            ("step", "s"), ("stiction", "m/s"), ("angular_stiction", "rad/s"), ("restitution_threshold", "m/s"),
        ):  # fmt: skip
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0.0):
                raise ModelError(f"{name} must be a positive finite number [{unit}], got {value!r}")
        if not 0.0 <= number(self.tangential_restitution, "tangential_restitution") <= 1.0:
            raise ModelError(f"tangential_restitution must be 0 to 1, got {self.tangential_restitution!r}")
        for name in ("quasi_dynamic", "allow_overlap", "even_faces"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ModelError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.resolve_slip is not None and not isinstance(self.resolve_slip, (bool, np.bool_)):
            raise ModelError(f"resolve_slip must be True, False or None for the default, got {self.resolve_slip!r}")
        for name in ("tolerance", "contact_margin"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(number(value, name)) and value > 0.0):
                raise ModelError(f"{name} must be positive and finite, or None for the default, got {value!r}")
        for name in ("max_iterations", "segment", "impact_rounds"):
            if index(getattr(self, name), name) < 1:
                raise ModelError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("contact_capacity", "threads"):
            value = getattr(self, name)
            if value is not None and index(value, name) < 1:
                raise ModelError(f"{name} must be at least 1, or None for the default, got {value}")
        if self.tolerance is not None and self.tolerance >= 1.0:
            raise ModelError(
                f"tolerance must be less than 1, got {self.tolerance:g}: it is relative to the momentum change of a "
                "step, so that every step would count as solved; leave it out for the default"
            )
        for doubt in self._doubts():
            warnings.warn(doubt, SimulationWarning, stacklevel=4)

    def resolves_slip(self, model: Model) -> bool:
        """Whether steps of a model take further solves where slip changes."""
        if self.quasi_dynamic or self.resolve_slip is not None:
            return bool(self.resolve_slip) and not self.quasi_dynamic
        return int(model.body_free.any(axis=1).sum()) <= FEW_BODIES

    def _doubts(self) -> list[str]:
        """Warnings on options that are possible and likely not meant."""
        found = []
        if self.step >= LONG and not self.quasi_dynamic:
            found.append(
                f"a step of {self.step:g} s: a body falls {4.9 * self.step**2:.2g} m in it. step is in seconds; for "
                "milliseconds pass 1e-3 times the number"
            )
        if self.tolerance is not None and self.tolerance > ROUGH:
            found.append(
                f"a tolerance of {self.tolerance:g}: a step counts as solved while that part of its momentum change is "
                "wrong. The default is 1e-5 in float32 and 1e-12 in float64"
            )
        if self.stiction > FAST_STICTION:
            found.append(
                f"a stiction speed of {self.stiction:g} m/s: below it friction is viscous, so that a body that slips "
                "more slowly than that is not held. The default is 1e-3 m/s"
            )
        return found

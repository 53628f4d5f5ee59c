"""Contact functions: hard contact, and two whose forces act before the shapes touch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...kernels.contact.softened import MODES, REACH, SLOPES
from ...plain import plain_numbers
from ..errors import ModelError

if TYPE_CHECKING:
    from ..scene.model import Model

__all__ = ["HARD", "ContactFunction", "Hard", "LogBarrier", "Softplus", "contact_function"]


@dataclass(frozen=True)
class Hard:
    """Hard contact: the impulse max(z, 0), z = -h k (gap + (h + d/k) separation speed) [N s]. The default."""

    forward: ClassVar[bool] = False
    """Whether steps are taken with a softened impulse."""
    backward: ClassVar[bool] = False
    """Whether gradients are taken with one."""
    reach: ClassVar[float] = 0.0
    """Gap at which the impulse between bodies that do not approach is zero [m]."""

    def of_shapes(self, model: Model) -> np.ndarray:
        """Width [m] that each shape gives its contacts, and the kernels' mode, [S, 2]."""
        return np.zeros((len(model.shape_names), 2))


@dataclass(frozen=True)
class _Softened:
    """Base of the softened contact functions.

    Args:
        width: Scale [m] of noise on the gap; the impulse is the mean of the hard one over that noise.
        shapes: Names of shapes; a contact is softened if one of its two shapes is among them. None: all contacts,
            also those of bodies at rest on each other, which then float at a gap of a few to many widths.
        forward: Whether steps are taken with the softened impulse. False: the forward pass is that of hard contact to
            the bit, and only the gradient takes contacts softened (see ``docs/contact.md``).
    """

    width: float
    shapes: Sequence[str] | None = None
    forward: bool = True

    kind: ClassVar[str]
    backward: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        if isinstance(self.width, bool) or not (
            isinstance(self.width, (int, float)) and math.isfinite(self.width) and self.width > 0.0
        ):
            raise ModelError(
                f"{name}: width must be a positive finite number [m], got {self.width!r}; hard contact is Hard()"
            )
        if self.shapes is not None:
            if isinstance(self.shapes, str) or not self.shapes or not all(isinstance(x, str) for x in self.shapes):
                raise ModelError(
                    f"{name}: shapes must be a sequence of names of shapes, or None for all, got {self.shapes!r}"
                )
            object.__setattr__(self, "shapes", tuple(self.shapes))

    @property
    def reach(self) -> float:
        """Gap at which the impulse between bodies that do not approach is zero [m]."""
        return REACH[self.kind] * self.width

    def of_shapes(self, model: Model) -> np.ndarray:
        """Width [m] that each shape gives its contacts, and the kernels' mode, [S, 2]."""
        names = list(model.shape_names)
        unknown = sorted(set(self.shapes or ()) - set(names))
        if unknown:
            raise ModelError(
                f"{type(self).__name__}: the model has no shape {unknown[0]!r}; there are {', '.join(map(repr, names))}"
            )
        widths = [self.width if self.shapes is None or name in self.shapes else 0.0 for name in names]
        mode = MODES[self.kind] + (0.0 if self.forward else SLOPES)
        return np.array([[width, mode] for width in widths]).reshape(len(names), 2)


@plain_numbers
@dataclass(frozen=True)
class Softplus(_Softened):
    """The impulse beta log(1 + exp(z / beta)), beta = h k width: the mean of hard contact over logistic noise.

    Its scale, on the gap, is ``width``. Two bodies at rest at a gap g have the force k width log(1 + exp(-g /
    width)): 69 % of k width where they touch, 31 % at a gap of one width, 0.7 % at five, 5e-5 at ten. Beyond 12 widths
    it fades, and is zero from 24 on. Prefer it where the distance at which contacts are to act is known.
    """

    kind: ClassVar[str] = "softplus"


@plain_numbers
@dataclass(frozen=True)
class LogBarrier(_Softened):
    """The impulse (z + sqrt(z^2 + 4/kappa)) / 2, sqrt(2/kappa) = h k width: the mean of hard contact over other noise.

    That is Student's t with 2 degrees of freedom; its scale, on the gap, is ``width``. Two bodies at rest at a gap g
    have the force k (sqrt(g^2 + 2 width^2) - g) / 2: 71 % of k width where they touch, 37 % at a gap of one width, 10 %
    at five, 0.5 % at a hundred. Beyond 100 widths it fades, and is zero from 200 on. Its force decays
    slowly with the gap: take a width some ten times smaller than for ``Softplus``.
    """

    kind: ClassVar[str] = "log_barrier"


HARD = Hard()

ContactFunction = Hard | Softplus | LogBarrier
"""How the normal impulse of a contact depends on gap and approach; see "Softened contact" in ``docs/contact.md``."""


def contact_function(
    kind: str, width: float, *, shapes: Sequence[str] | None = None, forward: bool = True
) -> Softplus | LogBarrier:
    """The softened contact function called ``kind``, "softplus" or "log_barrier".

    Raises:
        ModelError: There is none of this name, or the width is not positive.
    """
    functions = {f.kind: f for f in (Softplus, LogBarrier)}
    if kind not in functions:
        raise ModelError(f"unknown kind of softened contact {kind!r}; use one of {', '.join(functions)}")
    return functions[kind](width, shapes, forward)

"""Contact capacity: the contacts that a world can hold, and its growth where a world meets more."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...kernels.collision.pair_table import BROKEN, most_contacts
from ..errors import CapacityError, SimulationWarning
from ..scene.model import Model
from .options import SimulatorOptions

if TYPE_CHECKING:
    from .world_batch import WorldBatch

__all__ = [
    "CapacityExceeded", "check", "default_capacity", "greatest_capacity", "larger", "no_memory", "warn_of_growth",
]  # fmt: skip

GROWTH = 1.5
"""Least factor by which the capacity grows, so that a pile that gathers contact by contact restarts few times."""

SMALL_SCENE = 256
"""Least default capacity; a scene that can list no more contacts than this never exceeds it."""


def greatest_capacity(model: Model) -> int:
    """Most contacts that a world can have: the sum over all pairs of shapes of the most that each can have."""

    def most(a: int, b: int) -> int:
        mesh = model.meshes[model.shape_mesh[b]] if model.shape_mesh[b] >= 0 else None
        vertices, rim = (0, False) if mesh is None else (len(mesh.vertices), mesh.rim > 0.0)
        return most_contacts(int(model.shape_type[a]), int(model.shape_type[b]), vertices, rim)

    return max(1, sum(most(a, b) for a, b in model.pairs))


def default_capacity(model: Model, softened: bool = False) -> int:
    """Default capacity of a world. Softened contacts are listed from farther away, so there may be many more."""
    return min(greatest_capacity(model), max(SMALL_SCENE, (256 if softened else 64) * model.bodies))


class CapacityExceeded(Exception):  # noqa: N818 - caught by the simulator, never seen by its user
    """The contacts that a world met beyond its capacity; raised while a block of worlds runs."""

    def __init__(self, world: int, needed: int):
        super().__init__(world, needed)
        self.world, self.needed = world, needed


def check(batch: WorldBatch, numbers: Sequence[int]) -> None:
    """Raise CapacityExceeded if a world of a batch met more contacts than it can hold; ``numbers`` are the worlds'."""
    if batch.most_needed() <= batch.capacity:
        return
    needed = batch.needed_view[: len(numbers)]
    world = int(needed.argmax())
    if int(needed[world]) > batch.capacity:  # and not in a surplus row of the batch
        raise CapacityExceeded(numbers[world], int(needed[world]))


def larger(model: Model, options: SimulatorOptions, capacity: int, worst: CapacityExceeded) -> int:
    """Capacity to continue with after ``capacity`` was exceeded, at most ``greatest_capacity``.

    Raises:
        CapacityError: The capacity was given as ``contact_capacity``, or a pair lists more than its table says.
    """
    needed = worst.needed
    if needed >= int(BROKEN):
        raise CapacityError(
            f"world {worst.world}: a pair of shapes listed {needed - int(BROKEN)} contacts, more than the table in "
            "carom/kernels/collision/pair_table.py says it can. This is a fault of carom, not of the scene; please "
            "report the scene"
        )
    if options.contact_capacity is not None:
        softened = options.softening.reach > 0.0
        raise CapacityError(
            f"world {worst.world} met {needed} contacts but there is room for {capacity}; pass "
            f"contact_capacity={needed} or more to Simulator, or leave it out, so that the room grows by itself, or "
            "reduce " + ("the width of softened contact" if softened else "contact_margin")
        )
    return min(greatest_capacity(model), max(needed, int(GROWTH * capacity)))


def no_memory(worst: CapacityExceeded, capacity: int, width: int, error: Exception) -> CapacityError:
    """The error where there is no memory for the capacity that a world needs."""
    return CapacityError(
        f"world {worst.world} met {worst.needed} contacts, and there is no memory for {capacity} contacts in each of "
        f"{width} worlds ({error}); simulate fewer worlds at once, take a smaller step, or, if that many contacts "
        "cannot be meant, look for bodies that are too fast or too large"
    )


def warn_of_growth(before: int, after: int, worst: CapacityExceeded) -> None:
    """Warn that the capacity has grown."""
    warnings.warn(
        f"world {worst.world} met {worst.needed} contacts and there was room for {before}: room for {after} was made, "
        "and the worlds that lacked it were run again from their start. Results are the same. Pass "
        f"contact_capacity={after} to Simulator to have it from the start (a number given is a limit), or take a "
        "smaller step",
        SimulationWarning,
        stacklevel=2,
    )

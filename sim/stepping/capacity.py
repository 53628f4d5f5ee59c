"""Room for contacts: how it grows where a world meets more than there is room for, and where that ends."""

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

__all__ = ["OutOfRoom", "check", "default_capacity", "greatest_capacity", "grown", "no_memory", "tell"]

GROWTH = 1.5
"""Least factor by which room grows, so that a pile that gathers contact by contact is not begun anew at each."""


SMALL_SCENE = 256
"""Contacts for which every scene has room: one that cannot list more than this never runs out of it."""


def greatest_capacity(model: Model) -> int:
    """Contacts that a world can have at most: all pairs of shapes with as many as each can have, at once."""

    def most(a: int, b: int) -> int:
        mesh = model.meshes[model.shape_mesh[b]] if model.shape_mesh[b] >= 0 else None
        vertices, rim = (0, False) if mesh is None else (len(mesh.vertices), mesh.rim > 0.0)
        return most_contacts(int(model.shape_type[a]), int(model.shape_type[b]), vertices, rim)

    return max(1, sum(most(a, b) for a, b in model.pairs))


def default_capacity(model: Model, softened: bool = False) -> int:
    """Contacts a world has room for by default. Softened ones are listed from afar: there may be several times more."""
    return min(greatest_capacity(model), max(SMALL_SCENE, (256 if softened else 64) * model.bodies))


class OutOfRoom(Exception):  # noqa: N818 - taken back by the simulator, never seen by its user
    """Says how many contacts a world met; raised while a block of worlds runs."""

    def __init__(self, world: int, needed: int):
        super().__init__(world, needed)
        self.world, self.needed = world, needed


def check(batch: WorldBatch, numbers: Sequence[int]) -> None:
    """Raise OutOfRoom if one of a batch's worlds, which have these ``numbers``, met more contacts than it has room."""
    needed = batch.needed_view[: len(numbers)]
    if bool((needed > batch.capacity).any()):
        world = int(needed.argmax())
        raise OutOfRoom(numbers[world], int(needed[world]))


def grown(model: Model, options: SimulatorOptions, room: int, worst: OutOfRoom) -> int:
    """Room to go on with after ``room`` ran out, at most what all pairs of shapes together can list.

    Raises:
        CapacityError: The room was given as ``contact_capacity``, or a pair lists more than it can.
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
            f"world {worst.world} met {needed} contacts but there is room for {room}; pass contact_capacity={needed} "
            "or more to Simulator, or leave it out, so that the room grows by itself, or reduce "
            + ("the width of softened contact" if softened else "contact_margin")
        )
    return min(greatest_capacity(model), max(needed, int(GROWTH * room)))


def no_memory(worst: OutOfRoom, room: int, width: int, error: Exception) -> CapacityError:
    """The error where there is no memory for the room that a world needs."""
    return CapacityError(
        f"world {worst.world} met {worst.needed} contacts, and there is no memory for {room} contacts in each of "
        f"{width} worlds ({error}); simulate fewer worlds at once, take a smaller step, or, if that many contacts "
        "cannot be meant, look for bodies that are too fast or too large"
    )


def tell(before: int, after: int, worst: OutOfRoom) -> None:
    """Warn that room has grown."""
    warnings.warn(
        f"world {worst.world} met {worst.needed} contacts and there was room for {before}: room for {after} was made, "
        f"and the worlds that lacked it were begun anew. Results are the same. Pass contact_capacity={after} to "
        "Simulator to have it from the start (a number given is a limit), or take a smaller step",
        SimulationWarning,
        stacklevel=2,
    )

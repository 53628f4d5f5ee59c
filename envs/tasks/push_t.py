"""Push-T: the pushing task with a T-shaped block."""

from __future__ import annotations

from typing import ClassVar

from ...sim import ModelBuilder
from .push import Push

__all__ = ["PushT"]


class PushT(Push):
    """Push a T-shaped block of 1 kg over a table to a goal pose with a round pusher.

    The T of Florence et al., "Implicit Behavioral Cloning" (2021) and Chi et al., "Diffusion Policy" (2023): a bar of
    4 x 1 units and a stem of 3 x 1 units, here with a unit of 3 cm, so 12 x 12 cm in all, and 5 cm high. It is one body
    of two boxes of equal density; its frame is at the centre of mass, 19/14 units below the bar's outer face. At the
    start the bar stands across, its outer face towards the pusher, and the stem points along x.

    Parameters, cost and options are those of :class:`Push`, where ``offset`` is measured from the centre of mass.
    """

    name: ClassVar[str] = "push_t"
    description: ClassVar[str] = "push a T-shaped block on a table to a goal pose with a round pusher; as push"

    softened_shapes: ClassVar[tuple[str, ...]] = ("pusher",)

    unit = 0.03
    """Width of bar and stem [m]."""
    face = 19.0 / 14.0
    """Distance of the centre of mass from the bar's outer face: (4 x 0.5 + 3 x 2.5) / 7 [units]."""

    def _add_block(self, builder: ModelBuilder) -> None:
        u, height = self.unit, self.box_half_extents[2]
        block = builder.add_body(position=(0.0, 0.0, height), mass=self.box_mass, name="block")
        bar, stem = (0.5 - self.face) * u, (2.5 - self.face) * u
        for name, half, x in (("bar", (0.5 * u, 2.0 * u), bar), ("stem", (1.5 * u, 0.5 * u), stem)):
            builder.add_box(block, (*half, height), position=(x, 0.0, 0.0), friction=self.friction, name=name)

    @property
    def outline(self) -> list[tuple[float, float]]:
        """Corners of the T in its own frame, from above [m]."""
        units = [(0, -2), (1, -2), (1, -0.5), (4, -0.5), (4, 0.5), (1, 0.5), (1, 2), (0, 2)]
        return [((x - self.face) * self.unit, y * self.unit) for x, y in units]

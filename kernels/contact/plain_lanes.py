"""Which contacts are plain, so that worlds side by side may take them, and how kernels hand them to the native text.

See ``native/contact_row.py``. Contacts of other kinds go to Warp's kernels, contact by contact: so a world's numbers do
not depend on those beside it.
"""

import warp as wp

from ..bodies import integrate_lanes
from ..collision.features import FLAT, LINE, POINT, SHARE_FIXED
from ..core.model_arrays import ModelArrays
from . import hard
from .row_arrays import ContactRows

__all__ = ["HEAD", "INTS", "SCALARS", "plain", "serves"]

MOST_BODIES = 64
"""Up to which a group's bodies find room on the stack."""

HEAD = f"""
    constexpr int FLAT = {int(FLAT)}, POINT = {int(POINT)}, LINE = {int(LINE)}, SHARE_FIXED = {int(SHARE_FIXED)};
    constexpr double FREQUENCY = {hard.FREQUENCY!r};
    const int worlds = bodies_.mass.shape[0], bodies = bodies_.mass.shape[1];
"""
"""Of a native function with the arguments ``bodies_``, ``shapes_``, ``surfaces_``, features ``f_`` and ``rows_``."""

INTS = {"shape_body": "shapes_.body"} | {
    name: f"f_.{name}"
    for name in ("count", "shape_a", "shape_b", "kind", "share", "patch_start", "patch_count", "blend")
}
SCALARS = {
    "body_mass": "bodies_.mass", "shape_friction": "surfaces_.friction", "shape_stiffness": "surfaces_.stiffness",
    "shape_damping": "surfaces_.damping", "centre": "rows_.centre", "pull": "rows_.pull", "body_q": "body_q_",
} | {name: f"f_.{name}" for name in ("a0", "a1", "b0", "radius_a", "radius_b", "sign", "weight")}  # fmt: skip


@wp.func
def plain(kind: int, share: int, blend: int):
    """Whether a contact is one that worlds side by side take."""
    return share == SHARE_FIXED and blend < 0 and (kind == FLAT or kind == POINT or kind == LINE)


def serves(model: ModelArrays, contact_rows: ContactRows) -> bool:
    """Whether small worlds of hard contacts without resistance may go side by side, as far as these are plain."""
    hard_alone = not contact_rows.resists and not contact_rows.softens
    return hard_alone and integrate_lanes.serves(model) and model.body_mass.shape[1] <= MOST_BODIES

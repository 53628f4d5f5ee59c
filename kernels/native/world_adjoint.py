"""Text that adds the derivatives of the power of one world's contacts, LANES at a time; see ``world_contacts.py``."""

from __future__ import annotations

from . import world_contacts as world
from .contact_row import Contact
from .formulas import Formulas, Row
from .free_motion import assigned
from .hull_contact import ApartContact, Blend, FaceContact, face_corner
from .polygon import PolygonText

__all__ = ["adjoint"]

_ADD = """
    TYPE* const bars = table + NUMBERS * entries;
    for (long k = 0; k < BARS * entries; ++k) bars[k] = (TYPE)0;
    TYPE *part_bars = scalars + 6 * slots, *share_bars = scalars + 7 * slots, *gap_bars = scalars + 8 * slots;
    TYPE *found_bars = scalars + 9 * slots, *place_bars = scalars + 13 * slots, *n_bars = scalars + 16 * slots;
    TYPE* own_bars = scalars + 19 * slots;
    for (int c = 0; c < contacts; ++c) {
        part_bars[c] = share_bars[c] = gap_bars[c] = own_bars[c] = (TYPE)0;
        for (int k = 0; k < 4; ++k) found_bars[4 * c + k] = (TYPE)0;
        for (int k = 0; k < 3; ++k) place_bars[3 * c + k] = n_bars[3 * c + k] = (TYPE)0;
        if (w_share[c] != SHARE_POLYGON || w_patch_start[c] != c) continue;
        // further solves, where slip changes, have left theirs
        TYPE *middle = bar_centre + (long)world * bar_centre_stride + 3 * (long)c;
        TYPE *drawn_in = bar_pull + (long)world * bar_pull_stride + c;
        for (int k = 0; k < 4; ++k) {
            TYPE* bar = k < 3 ? middle + k : drawn_in;
            if (*bar != (TYPE)0) marks[c] = 1;
            found_bars[4 * c + k] = *bar;
            *bar = (TYPE)0;
        }
    }
    auto add = [&](const int* body, const row* bar, int numbers, int lanes_here) {
        for (int l = 0; l < lanes_here; ++l) {
            TYPE* to_ = bars + (long)BARS * body[l];
            for (int k = 0; k < numbers; ++k) to_[k] += lane(bar[k], l);
        }
    };
"""

_SUMMED = """
    for (int body = 0; body < bodies; ++body) {
        const TYPE* x = bars + (long)BARS * body;
        for (int k = 0; k < 7; ++k) bar_q[(long)world * bar_q_stride + 7 * body + k] += x[k];
        bar_mass[(long)world * bar_mass_stride + body] += x[7];
        for (int k = 0; k < 6; ++k) bar_v0[(long)world * bar_v0_stride + 6 * body + k] += x[8 + k];
    }
"""

_BAR_OF_PARTS = """
    // a contact's part is its weight times its share in a polygon times that of a blend
    for (int i = 0; i < face_count + apart_count; ++i) {
        const int c = i < face_count ? face_slots[i] : apart_slots[i - face_count], code = w_blend[c];
        const TYPE bar = own_bars[c] * w_weight[c];
        TYPE by_blend = (TYPE)1;
        if (code >= 0) {
            const bool crossing = code & 2;
            part_bars[code >> 2] += (crossing ? bar : -bar) * shares[c];
            by_blend = crossing ? parts[code >> 2] : (TYPE)1 - parts[code >> 2];
        }
        share_bars[c] = bar * by_blend;
    }
"""


def _contact_reverse(of: str, contact: Contact) -> str:
    """Text that adds the derivatives of the contacts' power."""
    f = contact.f
    on, power = contact.power(contact.motion("v1"), contact.row, contact.motion("z"))
    surfaces, part = contact.surface, f.input("part")
    inputs: list[Row] = [*contact.sides[0][:14], *contact.sides[1][:14], *contact.centre, contact.pull, part]
    found = f.gradient([(power, f.row(1.0))], [*inputs, *surfaces.values()])
    by_surface = dict(zip(surfaces, found[33:], strict=True))
    arrays = {"ka": "stiffness", "kb": "stiffness", "ca": "damping", "cb": "damping"}
    arrays |= {"mua": "friction", "mub": "friction"}
    scattered = "".join(
        f"        scatter(bar_{array} + world * bar_{array}_stride, s{name[-1]}, {f.name(contact.given[name])}, "
        f"{f.name(by_surface[name])});\n"
        for name, array in arrays.items()
    )
    return world.contacts(
        of,
        contact,
        f"""{f.texts([on, *found, *contact.given.values()])[0]}
        const irow on = {f.name(on)};
        row bar_a[14], bar_b[14], bar_to[5];
{assigned(f, "bar_a", found[:14])}{assigned(f, "bar_b", found[14:28])}{assigned(f, "bar_to", found[28:33])}
        add(ia, bar_a, 14, lanes_here);
        add(ib, bar_b, 14, lanes_here);
        auto scatter = [&](TYPE* x, const int* shape, irow where, row bar) {{
            where = where & on;
            if (any(where))
                for (int l = 0; l < lanes_here; ++l)
                    if (ilane(where, l)) x[shape[l]] += lane(bar, l);
        }};
{scattered}
        for (int l = 0; l < lanes_here; ++l) {{
            const int c = id[l];
            own_bars[c] = lane(bar_to[4], l);
            if (!(lane(drawn, l) > (TYPE)0)) continue;
            const long start = w_patch_start[c];
            if (w_share[c] == SHARE_POLYGON) {{
                for (int k = 0; k < 4; ++k) found_bars[4 * start + k] += lane(bar_to[k], l);
            }} else {{
                for (int k = 0; k < 3; ++k) bar_centre[world * bar_centre_stride + 3 * start + k] += lane(bar_to[k], l);
                bar_pull[world * bar_pull_stride + start] += lane(bar_to[3], l);
            }}
        }}
""",
    )


def adjoint(polygon: PolygonText, blend: Blend) -> str:
    """Text that adds the derivatives of the power of active contacts, those by centre and pull of polygons included.

    Derivatives by those of other patches are added to ``bar_centre`` and ``bar_pull``; those of polygons that stand
    there are handed on, too, and cleared.
    """
    contacts = "".join(
        _contact_reverse(of, kind(Formulas(), ("v0", "v1", "z")))
        for of, kind in (("face", FaceContact), ("apart", ApartContact))
    )
    polygons = f"""
            row centre_bar[3];
            for (int k = 0; k < 3; ++k) centre_bar[k] = of(found_bars, id, 4, k);
            const row pull_bar = of(found_bars, id, 4, 3);
{polygon.reverse}
            for (int l = 0; l < lanes_here; ++l)
                for (int k = 0; k < 3; ++k) n_bars[3 * id[l] + k] = lane(n_bar[k], l);
            for (int i = 0; i < most; ++i)
                for (int l = 0; l < lanes_here; ++l)
                    if (i < ilane(corners, l)) {{
                        for (int k = 0; k < 3; ++k) place_bars[3 * (id[l] + i) + k] = lane(XB[i][k], l);
                        gap_bars[id[l] + i] = lane(gap_bar[i], l);
                    }}
"""
    f = Formulas()
    poses, found = face_corner(f)
    bars = f.gradient([*zip(found, f.inputs("given", 7), strict=True)], poses)
    corners = world.groups(
        "corner",
        f"""{world.sides("7")}{world.features(list(world.VECTORS))}{world.RADII}
        row given[7], bar_a[7], bar_b[7];
        for (int k = 0; k < 3; ++k) given[k] = of(place_bars, id, 3, k), given[4 + k] = of(n_bars, id, 3, k);
        given[3] = of(gap_bars, id, 1, 0);
{f.texts(bars)[0]}{assigned(f, "bar_a", bars[:7])}{assigned(f, "bar_b", bars[7:])}
        add(ia, bar_a, 7, lanes_here);
        add(ib, bar_b, 7, lanes_here);
""",
    )
    acts = "active[(long)world * active_stride + c] != 0"
    return (
        f"    constexpr int BARS = 14;\n{world.start(('body_v0', 'body_v1', 'z'), 20)}{_ADD}{polygon.functions}"
        f"{world.LISTS.replace('HERE', acts)}{world.corners()}{world.polygons(polygon)}{world.blends(blend, False)}"
        f"{contacts}{_BAR_OF_PARTS}{world.polygons(polygon, polygons)}{world.blends(blend, True)}{corners}"
        f"{_SUMMED}{world.END}"
    )

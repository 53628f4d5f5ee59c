"""Text that takes the contacts of one world LANES at a time, for ``world_rows.py`` and ``world_adjoint.py``.

For larger worlds on a CPU, whose contacts may be those of hulls: kinds POINT, LINE, FLAT, CROSS, CLIP and DROP, with
shares that are fixed or a polygon's, and blends (``collision/features.py``). A lane is a contact, a corner or polygon;
what it gets does not depend on its neighbours. Sums go contact by contact, so they are the same every time.

The parts of the stiffness need all corners of a polygon. So the work goes through the world some times: corners'
places; shares, and the friction of polygons (``polygon.py``); blends; rows. The reverse goes through them backwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from .contact_row import Contact
from .formulas import Formulas
from .free_motion import assigned
from .hull_contact import Blend, face_corner
from .polygon import PolygonText
from .vectors import Quaternion, Vector

__all__ = [
    "END", "LISTS", "RADII", "SCALARS_OF_SLOTS", "VECTORS", "blends", "contacts", "corners", "features", "groups",
    "polygons", "sides", "start",
]  # fmt: skip

_INTS = ("shape_a", "shape_b", "kind", "share", "patch_start", "patch_count", "blend")
SCALARS_OF_SLOTS = {
    "a0": 3, "a1": 3, "a2": 3, "b0": 3, "b1": 3, "radius_a": 1, "radius_b": 1, "sign": 1, "weight": 1,
    "blend_edges": 18,
}  # fmt: skip
"""Numbers of a contact, by array."""

VECTORS = {"la0": "a0", "la1": "a1", "la2": "a2", "lb0": "b0", "lb1": "b1"}


def start(states: Sequence[str], room: int) -> str:
    """Text with the world's rows ``w_...``, the bodies' numbers ``table``, and room of scalars and lists a contact."""
    rows = "".join(f"    const int* w_{x} = {x} + (long)world * {x}_stride;\n" for x in _INTS)
    rows += "".join(f"    const TYPE* w_{x} = {x} + (long)world * {x}_stride;\n" for x in SCALARS_OF_SLOTS)
    fetched = "".join(
        f"            x[{8 + 6 * i} + k] = {state}[(long)world * {state}_stride + 6 * body + k];\n"
        for i, state in enumerate(states)
    )
    numbers = 8 + 6 * len(states)
    return f"""
    const int contacts = count[world];
    if (contacts <= 0) return;
    constexpr int NUMBERS = {numbers};
{rows}
    // of each body, and of the ground behind them: pose, mass and velocities
    const long slots = contacts, entries = bodies + 1;
    TYPE* const scalars = (TYPE*)malloc(sizeof(TYPE) * ({room} * slots + (NUMBERS + BARS) * entries));
    int* const lists = (int*)malloc(sizeof(int) * 7 * slots);
    TYPE* const table = scalars + {room} * slots;
    for (int body = 0; body < bodies; ++body) {{
        TYPE* x = table + NUMBERS * body;
        for (int k = 0; k < 7; ++k) x[k] = body_q[(long)world * body_q_stride + 7 * body + k];
        x[7] = body_mass[(long)world * body_mass_stride + body];
        for (int k = 0; k < 6; ++k) {{
{fetched}        }}
    }}
    for (int k = 0; k < NUMBERS; ++k) table[NUMBERS * bodies + k] = k == 6;
    auto body_of = [&](int shape) {{ return shape_body[shape] < 0 ? bodies : shape_body[shape]; }};
    auto of = [&](const TYPE* x, const int* slot, int step, int k) {{
        return row{{x[(long)slot[0] * step + k], x[(long)slot[1] * step + k], x[(long)slot[2] * step + k],
                   x[(long)slot[3] * step + k], x[(long)slot[4] * step + k], x[(long)slot[5] * step + k],
                   x[(long)slot[6] * step + k], x[(long)slot[7] * step + k]}};
    }};
    auto of_int = [&](const int* x, const int* slot) {{
        return irow{{x[slot[0]], x[slot[1]], x[slot[2]], x[slot[3]], x[slot[4]], x[slot[5]], x[slot[6]], x[slot[7]]}};
    }};
    TYPE *place = scalars, *gaps = scalars + 3 * slots, *shares = scalars + 4 * slots, *parts = scalars + 5 * slots;
    int *polygon_slots = lists, *corner_slots = lists + slots, *blend_slots = lists + 2 * slots;
    int *face_slots = lists + 3 * slots, *apart_slots = lists + 4 * slots;
    int *marks = lists + 5 * slots, *blended = lists + 6 * slots;
    int polygon_count = 0, corner_count = 0, blend_count = 0, face_count = 0, apart_count = 0;
    for (int c = 0; c < contacts; ++c) marks[c] = blended[c] = 0, shares[c] = parts[c] = (TYPE)1;
"""


LISTS = """
    for (int c = 0; c < contacts; ++c) {
        if (!(HERE)) continue;
        if (w_share[c] == SHARE_POLYGON) marks[w_patch_start[c]] = 1;
        if (w_blend[c] >= 0) blended[w_blend[c] >> 2] = 1;
        if (w_kind[c] == FLAT || w_kind[c] == CLIP || w_kind[c] == DROP) face_slots[face_count++] = c;
        else apart_slots[apart_count++] = c;
    }
    for (int c = 0; c < contacts; ++c) {
        if (marks[c]) {
            polygon_slots[polygon_count++] = c;
            for (int i = 0; i < w_patch_count[c]; ++i) corner_slots[corner_count++] = c + i;
        }
        if (blended[c]) blend_slots[blend_count++] = c;
    }
"""
"""Lists of what counts, given the condition HERE."""


def groups(of: str, body: str) -> str:
    """Text of a loop over a list, LANES at a time; lanes behind its end repeat the last entry."""
    return f"""
    for (int begin = 0; begin < {of}_count; begin += LANES) {{
        int id[LANES];
        const int lanes_here = {of}_count - begin < LANES ? {of}_count - begin : LANES;
        for (int l = 0; l < LANES; ++l) id[l] = {of}_slots[begin + (l < lanes_here ? l : lanes_here - 1)];
{body}
    }}
"""


def features(names: Sequence[str], slot: str = "id") -> str:
    """Text that fetches vectors of features by their names in formulas, and masks of the kinds over a face."""
    vectors = "".join(
        f"        row {x}[3];\n        for (int k = 0; k < 3; ++k) {x}[k] = of(w_{VECTORS[x]}, {slot}, 3, k);\n"
        for x in names
    )
    return f"""{vectors}        const irow of_kind = of_int(w_kind, {slot});
        const irow clip = of_kind == CLIP, drop = of_kind == DROP;
"""


def sides(numbers: str) -> str:
    """Text that fetches the first ``numbers`` of both bodies of the slots ``id``."""
    return f"""
        int sa[LANES], sb[LANES], ia[LANES], ib[LANES];
        for (int l = 0; l < LANES; ++l) {{
            sa[l] = w_shape_a[id[l]], sb[l] = w_shape_b[id[l]];
            ia[l] = body_of(sa[l]), ib[l] = body_of(sb[l]);
        }}
        row xa[{numbers}], xb[{numbers}];
        #pragma unroll
        for (int k = 0; k < {numbers}; ++k) xa[k] = of(table, ia, NUMBERS, k), xb[k] = of(table, ib, NUMBERS, k);
"""


RADII = """
        const row ra = of(w_radius_a, id, 1, 0), rb = of(w_radius_b, id, 1, 0);
"""


def corners() -> str:
    """Text that finds places and gaps of polygons' corners."""
    f = Formulas()
    _, found = face_corner(f)
    return groups(
        "corner",
        f"""{sides("7")}{features(list(VECTORS))}{RADII}{f.texts(found[:4])[0]}
        row found[4];
{assigned(f, "found", found[:4])}
        for (int l = 0; l < lanes_here; ++l) {{
            for (int k = 0; k < 3; ++k) place[3 * id[l] + k] = lane(found[k], l);
            gaps[id[l]] = lane(found[3], l);
        }}
""",
    )


_SHARED = """
        const irow corners = of_int(w_patch_count, id);
        for (int i = 0; i < most; ++i)
            for (int l = 0; l < lanes_here; ++l)
                if (i < ilane(corners, l)) shares[id[l] + i] = lane(half[i], l) / lane(perimeter, l);
"""


def polygons(polygon: PolygonText, body: str = "") -> str:
    """Text of a loop over polygons that finds shares; or, given what follows, what ``polygon.forward`` finds."""
    counts, shared = _SHARED.split(";", 1)
    counts += ";\n"
    if not body:
        return groups("polygon", f"{counts}{polygon.sides}{shared}")
    return groups(
        "polygon",
        f"""{counts}{polygon.sides}{shared}
        row n[3], turn[4];
        int ia[LANES];
        for (int l = 0; l < LANES; ++l) ia[l] = body_of(w_shape_a[id[l]]);
        for (int k = 0; k < 4; ++k) turn[k] = of(table, ia, NUMBERS, 3 + k);
        for (int k = 0; k < 3; ++k) n[k] = of(w_a1, id, 3, k);
        const row below = of(w_radius_b, id, 1, 0);
{_rotated()}
{polygon.forward}
{body}
""",
    )


def _rotated() -> str:
    """Text that turns ``n`` by the quaternion ``turn`` and makes it a unit."""
    f = Formulas("r")
    na = Quaternion.of(f.inputs("turn", 4)).rotate(Vector.of(f.inputs("n", 3)))
    n = (na * (1.0 / na.dot(na).root())).rows
    return f"{f.texts(n)[0]}{assigned(f, 'n', n)}"


def blends(blend: Blend, reverse: bool) -> str:
    """Text that finds the crossings' parts of blends, in ``parts`` of the polygons' first slots, or the reverse."""
    f = Formulas()
    poses, part = blend.part(f)
    wanted = f.gradient([(part, f.input("part_bar"))], poses) if reverse else [part]
    low = """
        int low[LANES];
        for (int l = 0; l < LANES; ++l) low[l] = id[l] + (int)w_blend_edges[18 * (long)id[l] + 17];
        row fa0[3], fa1[3], edges[18];
        for (int k = 0; k < 3; ++k) fa0[k] = of(w_a0, id, 3, k), fa1[k] = of(w_a1, id, 3, k);
        for (int k = 0; k < 18; ++k) edges[k] = of(w_blend_edges, id, 18, k);
"""
    before = "        const row part_bar = of(part_bars, id, 1, 0);\n" if reverse else ""
    after = f"""
        row bar_a[7], bar_b[7];
{assigned(f, "bar_a", wanted[:7])}{assigned(f, "bar_b", wanted[7:])}
        add(ia, bar_a, 7, lanes_here);
        add(ib, bar_b, 7, lanes_here);
""" if reverse else f"""
        for (int l = 0; l < lanes_here; ++l) parts[id[l]] = lane({f.name(part)}, l);
"""  # fmt: skip
    fetched = features(list(VECTORS), "low")
    return groups("blend", f"{sides('7')}{low}{fetched}{before}{f.texts(wanted)[0]}{after}")


_SURFACES = """
        auto of_world = [&](const TYPE* x, long stride, const int* shape) {
            return of(x + world * stride, shape, 1, 0);
        };
        const row ka = of_world(shape_stiffness, shape_stiffness_stride, sa);
        const row kb = of_world(shape_stiffness, shape_stiffness_stride, sb);
        const row ca = of_world(shape_damping, shape_damping_stride, sa);
        const row cb = of_world(shape_damping, shape_damping_stride, sb);
        const row mua = of_world(shape_friction, shape_friction_stride, sa);
        const row mub = of_world(shape_friction, shape_friction_stride, sb);
        row part = of(w_weight, id, 1, 0), drawn, to[3];
        row in_pair = zero + (TYPE)1;
        {
            TYPE pulls[LANES], centres[3][LANES], blending[LANES];
            for (int l = 0; l < LANES; ++l) {
                const int c = id[l], start = w_patch_start[c], code = w_blend[c];
                pulls[l] = w_patch_count[c] > 0 ? pull[(long)world * pull_stride + start] : (TYPE)0;
                const TYPE* middle = centre + (long)world * centre_stride + 3 * (long)start;
                for (int k = 0; k < 3; ++k) centres[k][l] = w_patch_count[c] > 0 ? middle[k] : (TYPE)0;
                const TYPE crossing = code < 0 ? (TYPE)0 : parts[code >> 2];
                blending[l] = code < 0 ? (TYPE)1 : (code & 2) ? crossing : (TYPE)1 - crossing;
            }
            const int here[8] = {0, 1, 2, 3, 4, 5, 6, 7};
            drawn = of(pulls, here, 1, 0);
            for (int k = 0; k < 3; ++k) to[k] = of(centres[k], here, 1, 0);
            in_pair = of(blending, here, 1, 0);
        }
        part = part * of(shares, id, 1, 0) * in_pair;
"""


def contacts(of: str, contact: Contact, body: str) -> str:
    """Text of a loop over contacts ``of`` a face, or ``"apart"``, with their numbers by the names of the formulas."""
    names = list(VECTORS) if of == "face" else ["la0", "la1", "lb0", "lb1"]
    kinds = "" if of == "face" else "        const irow line = of_kind == LINE, cross = of_kind == CROSS;\n"
    kinds += "        const row way = of(w_sign, id, 1, 0);\n" if of == "apart" else ""
    numbers = sides(str(len(contact.sides[0])))
    return groups(of, f"{numbers}{features(names)}{kinds}{RADII}{_SURFACES}{body}")


END = """
    free(scalars);
    free(lists);
"""

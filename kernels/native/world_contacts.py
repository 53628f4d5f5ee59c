"""Text that takes the contacts of one world LANES at a time: their rows, and the reverse of their power.

For larger worlds on a CPU, whose contacts may be those of hulls: kinds POINT, LINE, FLAT, CROSS, CLIP and DROP, with
shares that are fixed or a polygon's, and blends (``collision/features.py``). A lane is a contact, a corner or polygon;
what it gets does not depend on its neighbours. Sums go contact by contact, so they are the same every time.

The parts of the stiffness need all corners of a polygon. So the work goes through the world some times: corners'
places; shares, and the friction of polygons (``polygon.py``); blends; rows. The reverse goes through them backwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from .contact_row import Contact
from .formulas import Formulas, Row
from .free_motion import assigned
from .hull_contact import ApartContact, Blend, FaceContact, face_corner
from .polygon import PolygonText
from .vectors import Quaternion, Vector

__all__ = ["SCALARS_OF_SLOTS", "adjoint", "rows"]

_INTS = ("shape_a", "shape_b", "kind", "share", "patch_start", "patch_count", "blend")
SCALARS_OF_SLOTS = {
    "a0": 3, "a1": 3, "a2": 3, "b0": 3, "b1": 3, "radius_a": 1, "radius_b": 1, "sign": 1, "weight": 1,
    "blend_edges": 18,
}  # fmt: skip
"""Numbers of a contact, by array."""

_VECTORS = {"la0": "a0", "la1": "a1", "la2": "a2", "lb0": "b0", "lb1": "b1"}


def _start(states: Sequence[str], room: int) -> str:
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


_LISTS = """
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


def _groups(of: str, body: str) -> str:
    """Text of a loop over a list, LANES at a time; lanes behind its end repeat the last entry."""
    return f"""
    for (int begin = 0; begin < {of}_count; begin += LANES) {{
        int id[LANES];
        const int lanes_here = {of}_count - begin < LANES ? {of}_count - begin : LANES;
        for (int l = 0; l < LANES; ++l) id[l] = {of}_slots[begin + (l < lanes_here ? l : lanes_here - 1)];
{body}
    }}
"""


def _features(names: Sequence[str], slot: str = "id") -> str:
    """Text that fetches vectors of features by their names in formulas, and masks of the kinds over a face."""
    vectors = "".join(
        f"        row {x}[3];\n        for (int k = 0; k < 3; ++k) {x}[k] = of(w_{_VECTORS[x]}, {slot}, 3, k);\n"
        for x in names
    )
    return f"""{vectors}        const irow of_kind = of_int(w_kind, {slot});
        const irow clip = of_kind == CLIP, drop = of_kind == DROP;
"""


def _sides(numbers: str) -> str:
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


_RADII = """
        const row ra = of(w_radius_a, id, 1, 0), rb = of(w_radius_b, id, 1, 0);
"""


def _corners() -> str:
    """Text that finds places and gaps of polygons' corners."""
    f = Formulas()
    _, found = face_corner(f)
    return _groups(
        "corner",
        f"""{_sides("7")}{_features(list(_VECTORS))}{_RADII}{f.texts(found[:4])[0]}
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


def _polygons(polygon: PolygonText, body: str = "") -> str:
    """Text of a loop over polygons that finds shares; or, given what follows, what ``polygon.forward`` finds."""
    counts, shared = _SHARED.split(";", 1)
    counts += ";\n"
    if not body:
        return _groups("polygon", f"{counts}{polygon.sides}{shared}")
    return _groups(
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


def _blends(blend: Blend, reverse: bool) -> str:
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
    features = _features(list(_VECTORS), "low")
    return _groups("blend", f"{_sides('7')}{low}{features}{before}{f.texts(wanted)[0]}{after}")


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


def _contacts(of: str, contact: Contact, body: str) -> str:
    names = list(_VECTORS) if of == "face" else ["la0", "la1", "lb0", "lb1"]
    kinds = "" if of == "face" else "        const irow line = of_kind == LINE, cross = of_kind == CROSS;\n"
    kinds += "        const row way = of(w_sign, id, 1, 0);\n" if of == "apart" else ""
    sides = _sides(str(len(contact.sides[0])))
    return _groups(of, f"{sides}{_features(names)}{kinds}{_RADII}{_SURFACES}{body}")


_END = """
    free(scalars);
    free(lists);
"""


def rows(polygon: PolygonText, blend: Blend) -> str:
    """Text that writes rows, and centre and pull of polygons; those of other patches are there."""
    found = """
            for (int l = 0; l < lanes_here; ++l) {
                const row pulled = one - (TYPE)LEAST_ARM - (arm - (TYPE)LEAST_ARM) * q * ((TYPE)2 - q);
                const long world_ = world;
                for (int k = 0; k < 3; ++k)
                    centre[world_ * centre_stride + 3 * id[l] + k] =
                        even_faces ? place[3 * id[l] + k] + lane(at_.mean[k], l) : (TYPE)0;
                pull[world_ * pull_stride + id[l]] = even_faces ? lane(pulled, l) : (TYPE)0;
            }
"""
    texts = ""
    for of, kind in (("face", FaceContact), ("apart", ApartContact)):
        contact = kind(Formulas(), ("v0",))
        f, q = contact.f, contact.row
        out = {
            "normal_out": contact.n.rows, "arm_a_out": contact.arms[0].rows, "arm_b_out": contact.arms[1].rows,
            "twist_out": contact.twist.rows, "coefficients_out": [q.a, q.b, q.mu, q.s0],
        }  # fmt: skip
        stored = "".join(
            f"            {array}[(long)world * {array}_stride + {len(values)} * id[l] + {i}] = lane({f.name(x)}, l);\n"
            for array, values in out.items()
            for i, x in enumerate(values)
        )
        texts += _contacts(
            of,
            contact,
            f"""{f.texts([x for values in out.values() for x in values])[0]}
        for (int l = 0; l < lanes_here; ++l) {{
            row_a_out[(long)world * row_a_out_stride + id[l]] = ia[l] == bodies ? -1 : ia[l];
            row_b_out[(long)world * row_b_out_stride + id[l]] = ib[l] == bodies ? -1 : ib[l];
{stored}        }}
""",
        )
    return (
        f"    constexpr int BARS = 0;\n{_start(('body_v0',), 6)}{polygon.functions}{_LISTS.replace('HERE', 'true')}"
        f"{_corners()}{_polygons(polygon, found)}{_blends(blend, False)}{texts}{_END}"
    )


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
    return _contacts(
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
    corners = _groups(
        "corner",
        f"""{_sides("7")}{_features(list(_VECTORS))}{_RADII}
        row given[7], bar_a[7], bar_b[7];
        for (int k = 0; k < 3; ++k) given[k] = of(place_bars, id, 3, k), given[4 + k] = of(n_bars, id, 3, k);
        given[3] = of(gap_bars, id, 1, 0);
{f.texts(bars)[0]}{assigned(f, "bar_a", bars[:7])}{assigned(f, "bar_b", bars[7:])}
        add(ia, bar_a, 7, lanes_here);
        add(ib, bar_b, 7, lanes_here);
""",
    )
    return (
        f"    constexpr int BARS = 14;\n{_start(('body_v0', 'body_v1', 'z'), 20)}{_ADD}{polygon.functions}"
        f"{_LISTS.replace('HERE', 'active[(long)world * active_stride + c] != 0')}{_corners()}{_polygons(polygon)}"
        f"{_blends(blend, False)}{contacts}{_BAR_OF_PARTS}{_polygons(polygon, polygons)}{_blends(blend, True)}{corners}"
        f"{_SUMMED}{_END}"
    )

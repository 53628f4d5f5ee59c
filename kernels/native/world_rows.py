"""Text that prepares the rows of one world's contacts, LANES at a time; see ``world_contacts.py``."""

from . import world_contacts as world
from .formulas import Formulas
from .hull_contact import ApartContact, Blend, FaceContact
from .polygon import PolygonText

__all__ = ["rows"]


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
        texts += world.contacts(
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
        f"    constexpr int BARS = 0;\n{world.start(('body_v0',), 6)}{polygon.functions}"
        f"{world.LISTS.replace('HERE', 'true')}"
        f"{world.corners()}{world.polygons(polygon, found)}{world.blends(blend, False)}{texts}{world.END}"
    )

"""Text of the adjoint of the contacts' power (``solver/adjoint.py``), LANES worlds side by side, of plain contacts.

    power = z (uzn - mu/s ut.uz),   z = A - B (un - mu (s - s0))

with u, u0 and uz the contact's motions by v1, v0 and z, of which v1 and z are held fixed. Sums over contacts stay in
registers and are added to the arrays once, so they are the same every time.
"""

from .contact_loop import adjoint_text, loop
from .contact_row import Contact
from .formulas import Formulas

__all__ = ["CODE"]

_SUMMED = """
    for (int i = 0; i < bodies; ++i)
        #pragma unroll
        for (int l = 0; l < LANES; ++l) {
            const long world = first + l;
            if (world >= worlds) continue;
            for (int k = 0; k < 7; ++k) bar_q[world * bar_q_stride + 7 * i + k] += lane(list[i].bar[k], l);
            bar_mass[world * bar_mass_stride + i] += lane(list[i].bar[7], l);
            for (int k = 0; k < 6; ++k) bar_v0[world * bar_v0_stride + 6 * i + k] += lane(list[i].bar[8 + k], l);
        }
#ifdef __CUDACC__
    free(list);
#endif
"""


def _code() -> str:
    contact = Contact(Formulas(), ("v0", "v1", "z"))
    on, power = contact.power(contact.motion("v1"), contact.row, contact.motion("z"))
    text, bars = adjoint_text(contact, on, power, ("v0",))
    here = """(counts > c) & (of_worlds_int(active + c, active_stride) != 0) &
                          (of_worlds_int(share + c, share_stride) == SHARE_FIXED) &
                          (of_worlds_int(blend + c, blend_stride) < 0) &
                          ((of_kind == FLAT) | (of_kind == POINT) | (of_kind == LINE))"""
    states = {"v0": "body_v0", "v1": "body_v1", "z": "z"}
    return f"    const irow counts = of_worlds_int(count, 1);\n{loop(states, bars, here, text)}{_SUMMED}"


CODE = _code()
"""To be pasted behind the arguments and constants."""

"""Text that prepares the rows of plain contacts, LANES worlds side by side; see ``contact_row.py``."""

from .contact_loop import loop
from .contact_row import Contact
from .face_patch import PatchFormulas
from .formulas import Formulas

__all__ = ["patch_adjoint", "rows"]


def rows(patches: PatchFormulas) -> str:
    """Text that writes rows, and centres and pulls of patches where they begin."""
    contact = Contact(Formulas(), ("v0",))
    f, q = contact.f, contact.row
    out = {
        "normal_out": contact.n.rows, "arm_a_out": contact.arms[0].rows, "arm_b_out": contact.arms[1].rows,
        "twist_out": contact.twist.rows, "coefficients_out": [q.a, q.b, q.mu, q.s0],
    }  # fmt: skip
    stored = "".join(
        f"            {array}[world * {array}_stride + {len(values)} * c + {i}] = lane({f.name(x)}, l);\n"
        for array, values in out.items()
        for i, x in enumerate(values)
    )
    find = f"""
        const irow patch = here & (of_worlds_int(patch_count + c, patch_count_stride) > 0);
        const irow begins = patch & (of_worlds_int(patch_start + c, patch_start_stride) == c);
        if (any(begins)) {{
            row found[4] = {{zero, zero, zero, zero}};
            if (even) {{
            const irow corners = begins ? of_worlds_int(patch_count + c, patch_count_stride) : no;
            const row* pose = xb;
{patches.forward}
            }}
            for (int k = 0; k < 4; ++k) face_of[k] = begins ? found[k] : face_of[k];
            for (int l = 0; l < LANES && first + l < worlds; ++l)
                if (ilane(begins, l)) {{
                    const long world = first + l;
                    for (int k = 0; k < 3; ++k) centre[world * centre_stride + 3 * c + k] = lane(found[k], l);
                    pull[world * pull_stride + c] = lane(found[3], l);
                }}
        }}
        const row drawn = patch ? face_of[3] : zero;
        row to[3];
        for (int k = 0; k < 3; ++k) to[k] = patch ? face_of[k] : zero;
"""
    body = f"""{f.texts([x for values in out.values() for x in values])[0]}
        #pragma unroll
        for (int l = 0; l < LANES; ++l) {{
            if (first + l >= worlds || !ilane(here, l)) continue;
            const long world = first + l;
            row_a_out[world * row_a_out_stride + c] = ilane(a, l);
            row_b_out[world * row_b_out_stride + c] = ilane(b, l);
{stored}
        }}
"""
    return f"""
    irow taken = no == 0;
    if (!first_pass) taken = of_worlds_int(repeat, 1) != 0;
    const irow counts = taken ? of_worlds_int(count, 1) : no;
    row face_of[4] = {{zero, zero, zero, zero}};  // centre and pull of the patch that began last
{loop({"v0": "body_v0"}, 0, "counts > c", body, patch=find)}
#ifdef __CUDACC__
    free(list);
#endif
"""


def patch_adjoint(patches: PatchFormulas) -> str:
    """Text that hands the adjoints of centres and pulls to the poses, and clears them."""
    return f"""
    const irow counts = of_worlds_int(count, 1);
    int contacts = 0;
    for (int l = 0; l < LANES; ++l) contacts = ilane(counts, l) > contacts ? ilane(counts, l) : contacts;
    for (int c = 0; c < contacts; ++c) {{
        const irow corners_of = of_worlds_int(patch_count + c, patch_count_stride);
        const irow begins =
            (counts > c) & (corners_of > 0) & (of_worlds_int(patch_start + c, patch_start_stride) == c);
        if (!any(begins)) continue;
        const irow corners = begins ? corners_of : no;
        const irow sb = begins ? of_worlds_int(shape_b + c, shape_b_stride) : no;
        row pose[7], found_bar[4];
        for (int l = 0; l < LANES; ++l) {{
            const int body = shape_body[ilane(sb, l)];
            for (int i = 0; i < 7; ++i)
                put(pose[i], l, body < 0 ? (TYPE)(i == 6) : body_q[at[l] * body_q_stride + 7 * body + i]);
        }}
        for (int i = 0; i < 3; ++i) found_bar[i] = of_worlds(bar_centre + 3 * c + i, bar_centre_stride);
        found_bar[3] = of_worlds(bar_pull + c, bar_pull_stride);
{patches.reverse}
        for (int l = 0; l < LANES && first + l < worlds; ++l) {{
            if (!ilane(begins, l)) continue;
            const long world = first + l;
            for (int i = 0; i < 3; ++i) bar_centre[world * bar_centre_stride + 3 * c + i] = (TYPE)0;
            bar_pull[world * bar_pull_stride + c] = (TYPE)0;
            const int body = shape_body[ilane(sb, l)];
            if (body < 0) continue;
            for (int i = 0; i < 7; ++i) bar_q[world * bar_q_stride + 7 * body + i] += lane(pose_bar[i], l);
        }}
    }}
"""

"""Text of functions that formulas may call: sine and cosine side by side, and the angle of a direction."""

__all__ = ["FUNCTIONS"]

FUNCTIONS = """
    auto sine_cosine = [&](row x, row& sine, row& cosine) {  // to rounding, as the mathematical library
        constexpr bool single = sizeof(TYPE) == 4;
        const row t = x * (TYPE)0.63661977236758134308;  // in quarters of a turn; a large sum rounds it
        const row huge = zero + (single ? (TYPE)12582912.0 : (TYPE)6755399441055744.0);
        const row k = (t + huge) - huge;
        row r = fused(-k, zero + (TYPE)(single ? 1.57079637050628662109375 : 1.57079632679489655799898), x);
        r = fused(-k, zero + (TYPE)(single ? -4.37113900018624283e-8 : 6.12323399573676603587e-17), r);
        const row z = r * r;
        row s, c;
        if (single) {
            s = fused(z, zero + (TYPE)-1.9515295891e-4, zero + (TYPE)8.3321608736e-3);
            s = fused(s, z, zero + (TYPE)-1.6666654611e-1);
            c = fused(z, zero + (TYPE)2.443315711809948e-5, zero + (TYPE)-1.388731625493765e-3);
            c = fused(c, z, zero + (TYPE)4.166664568298827e-2);
        } else {
            s = fused(z, zero + (TYPE)1.58962301576546568060e-10, zero + (TYPE)-2.50507477628578072866e-8);
            s = fused(s, z, zero + (TYPE)2.75573136213857245213e-6);
            s = fused(s, z, zero + (TYPE)-1.98412698295895385996e-4);
            s = fused(s, z, zero + (TYPE)8.33333333332211858878e-3);
            s = fused(s, z, zero + (TYPE)-1.66666666666666307295e-1);
            c = fused(z, zero + (TYPE)-1.13585365213876817300e-11, zero + (TYPE)2.08757008419747316778e-9);
            c = fused(c, z, zero + (TYPE)-2.75573141792967388112e-7);
            c = fused(c, z, zero + (TYPE)2.48015872888517045348e-5);
            c = fused(c, z, zero + (TYPE)-1.38888888888730564116e-3);
            c = fused(c, z, zero + (TYPE)4.16666666666665929218e-2);
        }
        s = fused(s * z, r, r);
        c = fused(c * z, z, fused(z, zero + (TYPE)-0.5, one));
        const row four = k * (TYPE)0.25, turn = k - (TYPE)4 * ((four + huge) - huge);  // -2 to 2
        const irow odd = (turn == (TYPE)1) | (turn == (TYPE)-1), back = (turn == (TYPE)2) | (turn == (TYPE)-2);
        const row own = odd ? c : s, other = odd ? s : c;
        sine = (back | (turn == (TYPE)-1)) ? -own : own;
        cosine = (back | (turn == (TYPE)1)) ? -other : other;
        const irow far = absolute(x) > (TYPE)1000;
        if (any(far))
            for (int l = 0; l < LANES; ++l)
                if (ilane(far, l)) put(sine, l, wp::sin(lane(x, l))), put(cosine, l, wp::cos(lane(x, l)));
    };
    auto arc = [&](row y, row x) {
        row angle = zero;
        for (int l = 0; l < LANES; ++l) put(angle, l, wp::atan2(lane(y, l), lane(x, l)));
        return angle;
    };
"""
"""To be pasted before the text of formulas."""

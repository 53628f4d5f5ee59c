"""Text of the adjoint of the contacts' power, LANES worlds side by side: the derivative of ``contact_power`` by hand.

Contacts of the kinds POINT, LINE and FLAT whose share of the pair's stiffness is fixed, hard and without resistance.
For each, ``x_bar`` is the derivative of the power by x. Forward, in the names of ``solver/adjoint.py``:

    power = z (uzn - mu/s ut.uz),   z = A - B (un - mu (s - s0)),   A = -h k gap part,   B = (h^2 k + h d) part

with u, u0 and uz the relative velocities of v1, v0 and z, each vb + wb x arm_b - va - wa x arm_a + twist n.(wb - wa).
Sums over contacts stay in registers and are added to the arrays once, so they are the same every time.
"""

__all__ = ["CODE"]

_ALGEBRA = """
    struct Vector { row x, y, z; };
    auto load = [](const row* x) { return Vector{x[0], x[1], x[2]}; };
    auto dot = [&](Vector a, Vector b) { return fused(a.x, b.x, fused(a.y, b.y, a.z * b.z)); };
    auto sum = [](Vector a, Vector b) { return Vector{a.x + b.x, a.y + b.y, a.z + b.z}; };
    auto minus = [](Vector a, Vector b) { return Vector{a.x - b.x, a.y - b.y, a.z - b.z}; };
    auto scaled = [](Vector a, row k) { return Vector{a.x * k, a.y * k, a.z * k}; };
    auto plus = [&](Vector a, Vector b, row k) {  // a + k b
        return Vector{fused(b.x, k, a.x), fused(b.y, k, a.y), fused(b.z, k, a.z)};
    };
    auto cross = [&](Vector a, Vector b) {
        return Vector{fused(a.y, b.z, -(a.z * b.y)), fused(a.z, b.x, -(a.x * b.z)), fused(a.x, b.y, -(a.y * b.x))};
    };
    auto picked = [](irow m, Vector a, Vector b) { return Vector{m ? a.x : b.x, m ? a.y : b.y, m ? a.z : b.z}; };
    auto turned = [&](Vector q, row w, Vector v) {  // by the quaternion (q, w), as Warp writes it
        return plus(plus(scaled(v, (TYPE)2 * w * w - one), cross(q, v), (TYPE)2 * w), q, (TYPE)2 * dot(q, v));
    };
    auto turned_bar = [&](Vector q, row w, Vector v, Vector bar, Vector& q_bar, row& w_bar) {
        w_bar = fused(w * dot(v, bar), zero + (TYPE)4, fused(zero + (TYPE)2, dot(cross(q, v), bar), w_bar));
        q_bar = plus(q_bar, cross(v, bar), (TYPE)2 * w);
        q_bar = plus(plus(q_bar, bar, (TYPE)2 * dot(q, v)), v, (TYPE)2 * dot(q, bar));
    };
    auto of_shapes = [&](const TYPE* x, long stride, irow shape) {
        row values = zero;
        for (int l = 0; l < LANES; ++l) put(values, l, x[at[l] * stride + ilane(shape, l)]);
        return values;
    };
    const Vector origin = {zero, zero, zero};
"""

_BODIES = """
    // pose 7, velocities 6 each of v0, v1 and z; adjoints of pose, v0 and mass
    struct Body { row x[25], bar[13], mass, mass_bar; };
#ifdef __CUDACC__
    Body* list = (Body*)malloc((bodies > 0 ? bodies : 1) * sizeof(Body));
#else
    Body* list = (Body*)__builtin_alloca_with_align((bodies > 0 ? bodies : 1) * sizeof(Body), 512);
#endif
    for (int i = 0; i < bodies; ++i) {
        Body& body = list[i];
        for (int k = 0; k < 7; ++k) body.x[k] = of_worlds(body_q + 7 * i + k, body_q_stride);
        for (int k = 0; k < 6; ++k) {
            body.x[7 + k] = of_worlds(body_v0 + 6 * i + k, body_v0_stride);
            body.x[13 + k] = of_worlds(body_v1 + 6 * i + k, body_v1_stride);
            body.x[19 + k] = of_worlds(z + 6 * i + k, z_stride);
        }
        for (int k = 0; k < 13; ++k) body.bar[k] = zero;
        body.mass = of_worlds(body_mass + i, body_mass_stride);
        body.mass_bar = zero;
    }
    auto each = [&](irow body_of, irow here, auto use) {  // every body among the lanes, with the lanes that have it
        for (int l = 0; l < LANES; ++l) {
            const int body = ilane(body_of, l);
            if (!ilane(here, l) || body < 0) continue;
            const irow on = here & (body_of == body);
            use(list[body], on);
            here = here & (on == 0);
            if (!any(here)) break;
        }
    };
    const irow counts = of_worlds_int(count, 1);
    int contacts = 0;
    for (int l = 0; l < LANES; ++l) contacts = ilane(counts, l) > contacts ? ilane(counts, l) : contacts;
"""

_FORWARD = """
    for (int c = 0; c < contacts; ++c) {
        const irow of_kind = of_worlds_int(kind + c, kind_stride);
        const irow here = (counts > c) & (of_worlds_int(active + c, active_stride) != 0) &
                          (of_worlds_int(share + c, share_stride) == SHARE_FIXED) &
                          (of_worlds_int(blend + c, blend_stride) < 0) &
                          ((of_kind == FLAT) | (of_kind == POINT) | (of_kind == LINE));
        if (!any(here)) continue;
        auto vector = [&](const TYPE* x, long stride) {
            x += 3 * c;
            return Vector{of_worlds(x, stride), of_worlds(x + 1, stride), of_worlds(x + 2, stride)};
        };
        const irow plane = here & (of_kind == FLAT), line = here & (of_kind == LINE);
        const irow sa = here ? of_worlds_int(shape_a + c, shape_a_stride) : no;
        const irow sb = here ? of_worlds_int(shape_b + c, shape_b_stride) : no;
        irow a = no, b = no;
    #if LANES == 1
        a = shape_body[sa], b = shape_body[sb];
    #else
        for (int l = 0; l < LANES; ++l) a[l] = shape_body[sa[l]], b[l] = shape_body[sb[l]];
    #endif
        row xa[25], xb[25], ma = zero, mb = zero;
        #pragma unroll
        for (int i = 0; i < 25; ++i) xa[i] = xb[i] = zero;
        xa[6] = xb[6] = one;
        each(a, here, [&](Body& body, irow on) {
            #pragma unroll
            for (int i = 0; i < 25; ++i) xa[i] = on ? body.x[i] : xa[i];
            ma = on ? body.mass : ma;
        });
        each(b, here, [&](Body& body, irow on) {
            #pragma unroll
            for (int i = 0; i < 25; ++i) xb[i] = on ? body.x[i] : xb[i];
            mb = on ? body.mass : mb;
        });

        // geometry, as ``contact_geometry.locate``
        const Vector la0 = vector(a0, a0_stride), la1 = vector(a1, a1_stride), lb0 = vector(b0, b0_stride);
        const row ra = of_worlds(radius_a + c, radius_a_stride), rb = of_worlds(radius_b + c, radius_b_stride);
        const row part = of_worlds(weight + c, weight_stride), way = of_worlds(sign + c, sign_stride);
        const Vector qa = load(xa + 3), qb = load(xb + 3), ta = load(xa), tb = load(xb);
        const row wa = xa[6], wb = xb[6];
        const Vector pa = sum(ta, turned(qa, wa, la0)), pb = sum(tb, turned(qb, wb, lb0)), r = minus(pb, pa);
        const Vector da = turned(qa, wa, la1);
        const row before = line ? dot(r, da) : zero;
        const Vector foot = scaled(da, before), off = minus(r, foot);
        const row distance = root(dot(off, off));
        const irow apart = distance > (TYPE)0;
        row length = plane ? root(dot(da, da)) : distance;  // of the vector that becomes the normal
        Vector n = picked(plane, da, off), across = {zero, zero, one};
        const irow astride = line & (apart == 0);  // on the line itself: any direction across it leads out
        n = picked((plane | apart) != 0, n, across);
        if (any(astride)) {
            const irow steep = absolute(da.z) > (TYPE)0.9;
            across = Vector{steep ? one : zero, zero, steep ? zero : one};
            const Vector m = plus(across, da, -dot(across, da));
            n = picked(astride, m, n);
            length = astride ? root(dot(m, m)) : length;
        }
        const irow upright = ((plane | apart | astride) == 0);  // POINT at a distance of 0
        length = upright ? one : length;
        const row shrink = one / length;
        n = scaled(n, (plane | apart) ? shrink : shrink * way);
        const row g0 = plane ? dot(n, r) : distance, gap = g0 - ra - rb;
        const row shift = (TYPE)0.5 * (ra - rb - (plane ? g0 : zero));
        const Vector middle = picked(plane, pb, scaled(sum(sum(pa, foot), pb), zero + (TYPE)0.5));
        const Vector point = plus(middle, n, shift), arm_a = minus(point, ta), arm_b = minus(point, tb);

        // friction of faces
        const irow starts = here ? of_worlds_int(patch_start + c, patch_start_stride) : no;
        const irow patch = here & (of_worlds_int(patch_count + c, patch_count_stride) > 0);
        row drawn = zero;
        Vector to = origin;
        if (any(patch))
            for (int l = 0; l < LANES; ++l)
                if (ilane(patch, l)) {
                    const long first_of = ilane(starts, l);
                    const TYPE* x = centre + at[l] * centre_stride + 3 * first_of;
                    put(drawn, l, pull[at[l] * pull_stride + first_of]);
                    put(to.x, l, x[0]), put(to.y, l, x[1]), put(to.z, l, x[2]);
                }
        const irow drawn_in = drawn > (TYPE)0;
        drawn = drawn_in ? drawn : zero;
        const Vector inward = minus(to, point), side = cross(n, inward), twist = scaled(side, drawn);

        // coefficients, as ``hard.compliance`` and ``hard.friction``
        const row ka = of_shapes(shape_stiffness, shape_stiffness_stride, sa);
        const row kb = of_shapes(shape_stiffness, shape_stiffness_stride, sb);
        const row ca = of_shapes(shape_damping, shape_damping_stride, sa);
        const row cb = of_shapes(shape_damping, shape_damping_stride, sb);
        const row mua = of_shapes(shape_friction, shape_friction_stride, sa);
        const row mub = of_shapes(shape_friction, shape_friction_stride, sb);
        const irow pair = (ma > (TYPE)0) & (mb > (TYPE)0);
        const row mass_sum = one / (pair ? ma + mb : one);
        const row mass = pair ? ma * mb * mass_sum : ma > (TYPE)0 ? ma : mb;
        const TYPE rate = (TYPE)FREQUENCY / h;
        const irow stiff_a = ka > (TYPE)0, stiff_b = kb > (TYPE)0, stiff = stiff_a & stiff_b;
        const irow damped_a = ca >= (TYPE)0, damped_b = cb >= (TYPE)0, damped = damped_a & damped_b;
        const irow derived = (stiff_a | stiff_b) == 0, critical = (damped_a | damped_b) == 0;
        const row stiff_sum = one / (stiff ? ka + kb : one);
        const row k = stiff ? ka * kb * stiff_sum : stiff_a ? ka : stiff_b ? kb : mass * (rate * rate);
        const row share_a = stiff ? kb * stiff_sum : zero + (TYPE)0.5, km = root(k * mass);
        const row d = damped ? ca * share_a + cb * (one - share_a) : damped_a ? ca : damped_b ? cb : (TYPE)2 * km;
        const irow rough = mua + mub > (TYPE)0;
        const row mu_sum = one / (rough ? mua + mub : one);
        const row mu = rough ? (TYPE)2 * mua * mub * mu_sum : zero;
        const row A = -h * k * gap * part, B = (h * h * k + h * d) * part;

        // relative velocities and the power
        auto turning = [&](int first_of) { return minus(load(xb + first_of + 3), load(xa + first_of + 3)); };
        auto relative = [&](int first_of) {
            const Vector of_b = sum(load(xb + first_of), cross(load(xb + first_of + 3), arm_b));
            const Vector of_a = sum(load(xa + first_of), cross(load(xa + first_of + 3), arm_a));
            return plus(minus(of_b, of_a), twist, dot(n, turning(first_of)));
        };
        const Vector u0 = relative(7), u = relative(13), uz = relative(19);
        const row u0n = dot(n, u0), un = dot(n, u), uzn = dot(n, uz);
        const Vector u0t = plus(u0, n, -u0n), ut = plus(u, n, -un);
        const row s0 = root(dot(u0t, u0t) + eps * eps), s = root(dot(ut, ut) + eps * eps), inverse = one / s;
        const row y = un - mu * (s - s0), excess = A - B * y;
        const irow on = here & (excess > (TYPE)0);
        if (!any(on)) continue;
        const row load_of = on ? excess : zero, along = dot(ut, uz);
        const row E = on ? uzn - mu * inverse * along : zero;  // power per normal impulse
"""

_REVERSE = """
        const row EB = E * B, drag = load_of * mu * inverse;
        const row mu_bar = EB * (s - s0) - load_of * along * inverse;
        const row s_bar = drag * along * inverse + EB * mu, s0_bar = -EB * mu;
        const row un_bar = drag * uzn - EB, uzn_bar = load_of + drag * un;
        const row f = s_bar * inverse, f0 = s0_bar / s0;
        const Vector u_bar = plus(plus(scaled(uz, -drag), ut, f), n, un_bar);
        const Vector uz_bar = plus(scaled(u, -drag), n, uzn_bar), u0_bar = scaled(u0t, f0);
        Vector n_bar = plus(plus(plus(scaled(u, un_bar), uz, uzn_bar), ut, -f * un), u0t, -f0 * u0n);
        Vector arm_a_bar = origin, arm_b_bar = origin, twist_bar = origin;
        auto back = [&](int first_of, Vector bar) {  // of ``relative``; what turns about n gets
            const Vector w = turning(first_of);
            const row about_bar = dot(bar, twist);
            arm_b_bar = sum(arm_b_bar, cross(bar, load(xb + first_of + 3)));
            arm_a_bar = minus(arm_a_bar, cross(bar, load(xa + first_of + 3)));
            twist_bar = plus(twist_bar, bar, dot(n, w));
            n_bar = plus(n_bar, w, about_bar);
            return about_bar;
        };
        back(13, u_bar);
        back(19, uz_bar);
        const row about0_bar = back(7, u0_bar);
        const Vector w0b_bar = plus(cross(arm_b, u0_bar), n, about0_bar);
        const Vector w0a_bar = plus(cross(u0_bar, arm_a), n, -about0_bar);

        // friction of faces
        const row pull_bar = dot(twist_bar, side);
        const Vector side_bar = scaled(twist_bar, drawn), to_bar = cross(side_bar, n);
        n_bar = sum(n_bar, cross(inward, side_bar));
        const Vector point_bar = minus(sum(arm_a_bar, arm_b_bar), to_bar);

        // coefficients
        const row B_bar = -E * y, gap_bar = -E * h * k * part, d_bar = B_bar * h * part;
        row k_bar = (B_bar * h - E * gap) * h * part;
        const row km_bar = critical ? d_bar / (critical ? km : one) : zero;
        k_bar = k_bar + km_bar * mass;
        row mass_bar = km_bar * k;
        mass_bar = derived ? fused(k_bar, zero + rate * rate, mass_bar) : mass_bar;

        // geometry
        n_bar = plus(n_bar, point_bar, shift);
        const row g0_bar = plane ? gap_bar - (TYPE)0.5 * dot(n, point_bar) : gap_bar;
        n_bar = picked(plane, plus(n_bar, r, g0_bar), n_bar);
        const Vector m_bar = scaled(plus(n_bar, n, -dot(n, n_bar)), shrink);  // of the vector that becomes the normal
        const row half = plane ? zero : zero + (TYPE)0.5;
        const row lifted = plane ? g0_bar : zero;
        Vector pb_bar = plus(picked(plane, point_bar, origin), n, lifted), pa_bar = scaled(n, -lifted);
        Vector da_bar = picked(plane, m_bar, origin);
        if (any(here & (plane == 0))) {
            const Vector off_bar = picked(apart & (plane == 0), plus(m_bar, n, g0_bar), origin);
            const Vector middle_bar = scaled(point_bar, half), foot_bar = minus(middle_bar, off_bar);
            const row before_bar = line ? dot(da, foot_bar) : zero;
            const Vector r_bar = plus(off_bar, da, before_bar);
            da_bar = picked(line, plus(scaled(foot_bar, before), r, before_bar), da_bar);
            pb_bar = sum(pb_bar, sum(middle_bar, r_bar));
            pa_bar = sum(pa_bar, minus(middle_bar, r_bar));
            if (any(astride)) {
                const Vector own = scaled(m_bar, way);
                const Vector more = minus(scaled(own, -dot(across, da)), scaled(across, dot(own, da)));
                da_bar = picked(astride, sum(da_bar, more), da_bar);
            }
        }
        Vector qa_bar = origin, qb_bar = origin;
        row wa_bar = zero, wb_bar = zero;
        turned_bar(qa, wa, la1, da_bar, qa_bar, wa_bar);
        turned_bar(qa, wa, la0, pa_bar, qa_bar, wa_bar);
        turned_bar(qb, wb, lb0, pb_bar, qb_bar, wb_bar);

        auto add = [&](irow body_of, Vector t_bar, Vector q_bar, row w_bar, Vector v_bar, Vector o_bar, row m_bar) {
            const row all[13] = {t_bar.x, t_bar.y, t_bar.z, q_bar.x, q_bar.y, q_bar.z, w_bar,
                                 v_bar.x, v_bar.y, v_bar.z, o_bar.x, o_bar.y, o_bar.z};
            each(body_of, on, [&](Body& body, irow mine) {
                #pragma unroll
                for (int i = 0; i < 13; ++i) body.bar[i] += mine ? all[i] : zero;
                body.mass_bar += mine ? m_bar : zero;
            });
        };
        const row lighter = mass_sum * mass_sum;
        add(a, minus(pa_bar, arm_a_bar), qa_bar, wa_bar, scaled(u0_bar, -one), w0a_bar,
            pair ? mass_bar * mb * mb * lighter : mass_bar);
        add(b, minus(pb_bar, arm_b_bar), qb_bar, wb_bar, u0_bar, w0b_bar,
            pair ? mass_bar * ma * ma * lighter : mass_bar);

        // shapes and patches, a lane at a time
        auto scatter = [&](TYPE* x, long stride, irow shape, irow where, row bar) {
            for (int l = 0; l < LANES; ++l)
                if (ilane(where, l) && first + l < worlds) x[at[l] * stride + ilane(shape, l)] += lane(bar, l);
        };
        const irow slips = on & rough;
        const row mu_part = (TYPE)2 * mu_bar * mu_sum * mu_sum;
        scatter(bar_friction, bar_friction_stride, sa, slips, mu_part * mub * mub);
        scatter(bar_friction, bar_friction_stride, sb, slips, mu_part * mua * mua);
        if (any(on & (derived == 0))) {
            const row series = k_bar * stiff_sum * stiff_sum;
            const row by_share = damped ? d_bar * (ca - cb) * stiff_sum * stiff_sum : zero;
            scatter(bar_stiffness, bar_stiffness_stride, sa, on & stiff_a,
                    stiff ? series * kb * kb - by_share * kb : k_bar);
            scatter(bar_stiffness, bar_stiffness_stride, sb, on & stiff_b,
                    stiff ? series * ka * ka + by_share * ka : stiff_a ? zero : k_bar);
        }
        if (any(on & (critical == 0))) {
            scatter(bar_damping, bar_damping_stride, sa, on & damped_a, damped ? d_bar * share_a : d_bar);
            scatter(bar_damping, bar_damping_stride, sb, on & damped_b,
                    damped ? d_bar * (one - share_a) : damped_a ? zero : d_bar);
        }
        if (any(on & drawn_in))
            for (int l = 0; l < LANES; ++l)
                if (ilane(on & drawn_in, l) && first + l < worlds) {
                    const long first_of = ilane(starts, l);
                    TYPE* x = bar_centre + at[l] * bar_centre_stride + 3 * first_of;
                    x[0] += lane(to_bar.x, l), x[1] += lane(to_bar.y, l), x[2] += lane(to_bar.z, l);
                    bar_pull[at[l] * bar_pull_stride + first_of] += lane(pull_bar, l);
                }
    }
    for (int l = 0; l < LANES && first + l < worlds; ++l)
        for (int i = 0; i < bodies; ++i) {
            const long world = first + l;
            for (int k = 0; k < 7; ++k) bar_q[world * bar_q_stride + 7 * i + k] += lane(list[i].bar[k], l);
            for (int k = 0; k < 6; ++k) bar_v0[world * bar_v0_stride + 6 * i + k] += lane(list[i].bar[7 + k], l);
            bar_mass[world * bar_mass_stride + i] += lane(list[i].mass_bar, l);
        }
#ifdef __CUDACC__
    free(list);
#endif
"""

CODE = (_ALGEBRA, _BODIES, _FORWARD, _REVERSE)
"""To be pasted behind the arguments and constants."""

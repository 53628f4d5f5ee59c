"""Text of Newton's method on the energy of a step, LANES worlds of at most eight free axes side by side.

The method is that of ``solver/dense.py``, in the same steps; the equations are those of ``small_world.py``.
"""

from .small_world import CONTACTS, MASS, NEWTON

__all__ = ["CODE"]

_SET_UP = """
    const irow counts = of_worlds_int(count, 1);
    irow active = no == 0;
    if (!first_pass) active = of_worlds_int(repeat, 1) != 0;
    const irow started = active;

    // velocities, and those without contacts and actuators
    row v[N], target[N];
    #pragma unroll
    for (int i = 0; i < N; ++i) v[i] = target[i] = zero;
    for (int one_of = 0; one_of < movers; ++one_of)
        for (int i = 0; i < 6; ++i) {
            const int axis = 6 * moving[one_of] + i, d = dof_index[axis];
            if (d < 0) continue;
            const row before = of_worlds(body_v0 + axis, body_v0_stride);
            v[d] = first_pass ? before : of_worlds(body_v1 + axis, body_v1_stride);
            target[d] = i < 3 ? fused(of_worlds(gravity + i, gravity_stride), zero + h, before) : before;
        }
    row mt[N];
    times(m, target, mt);

    // actuators: an impulse of act - rate v along a free axis; with mass, ``ma`` is constant over the iterations
    auto coordinate = [&](int body, int axis) {
        const TYPE* pose = body_q + 7 * body;
        row x = zero;
        if (axis < 3)
            x = of_worlds(pose + axis, body_q_stride);
        else
            for (int l = 0; l < LANES; ++l) {  // as ``motion.coordinate``
                const TYPE* r = pose + at[l] * body_q_stride + 3;
                const TYPE sign = r[3] < (TYPE)0 ? (TYPE)-1 : (TYPE)1;
                const TYPE size = wp::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), w = sign * r[3];
                const TYPE scale = size > (TYPE)1e-6 ? (TYPE)2 * wp::atan2(size, w) / size : (TYPE)2 / w;
                put(x, l, sign * r[axis - 3] * scale);
            }
        return x;
    };
    row ma[NN], act[N], rate[N];
    #pragma unroll
    for (int k = 0; k < NN; ++k) ma[k] = m[k];
    #pragma unroll
    for (int i = 0; i < N; ++i) act[i] = rate[i] = zero;
    for (int i = 0; i < actuators; ++i) {
        const int d = dof_index[6 * actuator_body[i] + actuator_axis[i]], kind = actuator_kind[i];
        if (d < 0) continue;
        const row kp = of_worlds(actuator_stiffness + i, actuator_stiffness_stride);
        const row kd = of_worlds(actuator_damping + i, actuator_damping_stride);
        const row u = of_worlds(control + i, control_stride);
        row a = u * h, b = zero;
        if (kind == POSITION) {
            a = kp * (u - coordinate(actuator_body[i], actuator_axis[i])) * h;
            b = h * (h * kp + kd);
        } else if (kind == VELOCITY) {
            a = kd * u * h;
            b = h * kd;
        }
        act[d] += a;
        rate[d] += b;
        ma[L(d, d)] += b;
    }
"""

_NOISE = """
    for (int c = 0; c < contacts; ++c) along(list[c], v, list[c].u);

    // squared norm of what the terms in the impulses do to the bodies, as ``stopping.py`` counts them
    auto impulse_terms = [&](const row* v, irow near) {
        row sum = zero;
        for (int i = 0; i < actuators; ++i) {
            const int d = dof_index[6 * actuator_body[i] + actuator_axis[i]], kind = actuator_kind[i];
            if (d < 0) continue;
            const row kp = of_worlds(actuator_stiffness + i, actuator_stiffness_stride);
            const row kd = of_worlds(actuator_damping + i, actuator_damping_stride);
            const row u = absolute(of_worlds(control + i, control_stride)), speed = absolute(v[d]);
            row term = u;
            if (kind == POSITION)
                term = kp * (u + absolute(coordinate(actuator_body[i], actuator_axis[i])) + h * speed) + kd * speed;
            else if (kind == VELOCITY)
                term = kd * (u + speed);
            term = term * h;
            sum += term * (term * light[d]);
        }
        for (int c = 0; c < contacts; ++c) {
            const Contact& k = list[c];
            const row s = slip_speed(k.u[1], k.u[2], zero + eps);
            const row z = excess(k, k.u[0], s);
            const irow on = z > (TYPE)0;
            if (!any(on)) continue;
            row lightness = zero, fast = zero;
            for (int side = 0; side < 2; ++side) {
                const irow body_of =
                    side ? of_worlds_int(row_b + c, row_b_stride) : of_worlds_int(row_a + c, row_a_stride);
                const TYPE* arm = (side ? arm_b : arm_a) + 3 * c;
                const long stride = side ? arm_b_stride : arm_a_stride;
                const row x = of_worlds(arm, stride), y = of_worlds(arm + 1, stride), z = of_worlds(arm + 2, stride);
                for (int body = 0; body < bodies; ++body) {
                    const irow is = on & (body_of == body);
                    if (!any(is)) continue;
                    const TYPE* local = body_inertia + 9 * body;
                    const long stride_of = body_inertia_stride;
                    const row trace =
                        of_worlds(local, stride_of) + of_worlds(local + 4, stride_of) + of_worlds(local + 8, stride_of);
                    const row own = one / of_worlds(body_mass + body, body_mass_stride) +
                                    (TYPE)3 * (x * x + y * y + z * z) / trace;
                    row o[6];
                    #pragma unroll
                    for (int i = 0; i < 6; ++i) {
                        const int d = dof_index[6 * body + i];
                        o[i] = d >= 0 ? v[d] : zero;
                    }
                    const row px = o[0] + (o[4] * z - o[5] * y), py = o[1] + (o[5] * x - o[3] * z);
                    const row pz = o[2] + (o[3] * y - o[4] * x);
                    lightness += is ? own : zero;
                    fast += is ? root(px * px + py * py + pz * pz) : zero;
                }
            }
            row term = (absolute(k.a) + k.b * (absolute(k.u[0]) + k.mu * (k.s0 + s))) * (one + k.mu);
            term += near ? z * k.mu * smaller(fast / s, zero + UNITS) * (TYPE)(1.0 / IMPULSE_ROUNDING) : zero;
            sum += on ? term * (term * lightness) : zero;
        }
        return sum;
    };
"""

_ITERATE = """
    irow failure = no, iteration = no;
    row relative = zero, loose = one, before = zero + (TYPE)INFINITY;
    for (int round = 0;; ++round) {
        // gradient of the energy, and the size of the terms that balance in it
        row g0[N], g[N], d[N], H[NN], f[N], dv[N];
        row size2 = zero, speed2 = zero, norm2 = zero;
        #pragma unroll
        for (int i = 0; i < N; ++i) dv[i] = v[i] - target[i];
        times(m, dv, f);
        #pragma unroll
        for (int i = 0; i < N; ++i) {
            size2 = fused(f[i] * light[i], f[i], size2);  // f[i] f[i] alone underflows in small worlds
            speed2 = fused(v[i], f[i] + mt[i], speed2);
            g0[i] = f[i] - fused(-rate[i], v[i], act[i]);
            g[i] = g0[i];
        }
        for (int c = 0; c < contacts; ++c) {
            const Contact& k = list[c];
            const row s = slip_speed(k.u[1], k.u[2], zero + eps);
            const row y = excess(k, k.u[0], s);
            const irow on = y > (TYPE)0;
            if (!any(on & active)) continue;
            const row z = on ? -y : zero, drag = z * (k.mu / s);  // turned round
            const row p1 = -drag * k.u[1], p2 = -drag * k.u[2];
            #pragma unroll
            for (int i = 0; i < 6; ++i) 
                g[i] = fused(k.j[2 * N + i], p2, fused(k.j[N + i], p1, fused(k.j[i], z, g[i])));
            if (k.columns > 6) {
                #pragma unroll
                for (int i = 6; i < N; ++i) 
                g[i] = fused(k.j[2 * N + i], p2, fused(k.j[N + i], p1, fused(k.j[i], z, g[i])));
            }
        }
        #pragma unroll
        for (int i = 0; i < N; ++i) norm2 = fused(g[i] * light[i], g[i], norm2);
        const row norm = root(norm2);
        row size = tolerance * root(size2) + ROUNDING * root(larger(speed2, zero));
        const irow stalls = active & (norm > size) & (norm > (TYPE)STALLED * before);
        before = norm;
        if (any(stalls)) {
            const row known = IMPULSE_ROUNDING * UNIT * root(impulse_terms(v, norm < (TYPE)NEAR * root(size2)));
            size = stalls ? size + known : size;
        }
        relative = active ? tolerance * norm / (size + (TYPE)1.0e-30) : relative;
        irow done = norm <= size;
        if (further >= AGAIN_NEARER && round == 0) done = done & (norm <= (TYPE)NEARER * size);
        irow stuck = (norm - norm == (TYPE)0) == 0;  // not finite
        if (round >= max_iterations) stuck = no == 0;
        iteration = active ? no + (INT)round : iteration;
        failure = failure | (active & (done == 0) & stuck);
        active = active & (done == 0) & (stuck == 0);
        if (!any(active)) break;
        // solves of a world begin together, so its number of iterations is that of the group
        const bool dual = round + 1 > PATIENCE;
        if (round + 1 == PATIENCE + 1)
            for (int c = 0; c < contacts; ++c) list[c].w[0] = list[c].w[1] = zero;

        // Hessian
        const row slow = eps * loose;
        #pragma unroll
        for (int k = 0; k < NN; ++k) H[k] = ma[k];
        for (int c = 0; c < contacts; ++c) {
            const Contact& k = list[c];
            const irow on = active & (excess(k, k.u[0], slip_speed(k.u[1], k.u[2], zero + eps)) > (TYPE)0);
            if (!any(on)) continue;
            add_contact(k, on, slow, dual, H);
        }
        solve(H, g, d);

        // exact line search: slope of the energy along the direction, linear part, then contacts
        row slope_0 = zero, linear = zero, curve = zero, md[N];
        times(ma, d, md);
        #pragma unroll
        for (int i = 0; i < N; ++i) {
            slope_0 = fused(d[i], g[i], slope_0);
            linear = fused(d[i], g0[i], linear);
            curve = fused(d[i], md[i], curve);
        }
        const irow falls_off = active & (slope_0 < (TYPE)0);  // else the factor lost the masses in rounding
        loose = falls_off ? larger(loose * (TYPE)0.5, one) : active ? loose * (TYPE)LOOSER : loose;
        if (!any(falls_off)) continue;
        for (int c = 0; c < contacts; ++c) along(list[c], d, list[c].du);
        row alpha = one, low = zero, high = -one;
        irow searching = falls_off;
        const row enough = (TYPE)SLOPE_TOLERANCE * absolute(slope_0);
        for (int evaluation = 1;; ++evaluation) {
            row slope = fused(alpha, curve, linear), bend = curve;
            for (int c = 0; c < contacts; ++c) {
                const Contact& k = list[c];
                const row un = fused(k.du[0], alpha, k.u[0]), u1 = fused(k.du[1], alpha, k.u[1]);
                const row u2 = fused(k.du[2], alpha, k.u[2]);
                const row s = slip_speed(u1, u2, zero + eps);
                const row z = excess(k, un, s);
                const irow on = z > (TYPE)0;
                if (!any(on & searching)) continue;
                const row inverse = one / s;
                const row faster = fused(u1, k.du[1], u2 * k.du[2]) * inverse, gd = fused(-k.mu, faster, k.du[0]);
                slope = on ? fused(-z, gd, slope) : slope;
                if (evaluation > 1) {
                    const row across = fused(k.du[1], k.du[1], fused(k.du[2], k.du[2], -faster * faster));
                    bend = on ? fused(k.b * gd, gd, fused(z * k.mu * inverse, across, bend)) : bend;
                }
            }
            searching = searching & ((absolute(slope) <= enough) == 0);
            if (evaluation >= EVALUATIONS || !any(searching)) break;
            const irow falls = slope < (TYPE)0;
            low = (searching & falls) ? alpha : low;
            high = (searching & (falls == 0)) ? alpha : high;
            row trial = alpha - slope / bend;
            if (evaluation == 1) {  // no curvature there yet: secant with the slope at zero
                trial = alpha * slope_0 / (slope_0 - slope);
                trial = falls ? smaller(larger(trial, zero + SECOND_LEAST), zero + SECOND_MOST) : trial;
            }
            const row beyond = trial <= low ? low * (TYPE)2 : trial;
            const row between = ((trial <= low) | (trial >= high)) ? (TYPE)0.5 * (low + high) : trial;
            alpha = searching ? (high < (TYPE)0 ? beyond : between) : alpha;
        }
        #pragma unroll
        for (int i = 0; i < N; ++i) v[i] = falls_off ? fused(d[i], alpha, v[i]) : v[i];
        for (int c = 0; c < contacts; ++c) {
            Contact& k = list[c];
            if (dual) {  // w s = ut to first order, and at most 1
                const row s = slip_speed(k.u[1], k.u[2], zero + eps), inverse = one / s;
                const irow on = falls_off & (excess(k, k.u[0], s) > (TYPE)0);
                const row e1 = k.u[1] * inverse, e2 = k.u[2] * inverse;
                const row d1 = k.du[1] * alpha * inverse, d2 = k.du[2] * alpha * inverse, ed = e1 * d1 + e2 * d2;
                const row w1 = e1 + d1 - k.w[0] * ed, w2 = e2 + d2 - k.w[1] * ed;
                const row fit = larger(root(w1 * w1 + w2 * w2), one);
                k.w[0] = on ? w1 / fit : k.w[0];
                k.w[1] = on ? w2 / fit : k.w[1];
            }
            #pragma unroll
            for (int g = 0; g < 3; ++g) k.u[g] = falls_off ? fused(k.du[g], alpha, k.u[g]) : k.u[g];
        }
    }

    int failures = 0;
    for (int l = 0; l < LANES && first + l < worlds; ++l) {
        if (!ilane(started, l)) continue;
        TYPE* out = body_v1 + (first + l) * body_v1_stride;
        for (int i = 0; i < 6 * bodies; ++i) {
            const int d = dof_index[i];
            if (d >= 0) out[i] = lane(v[d] + zero, l);  // no zero with a sign: its sign may depend on the neighbours
            else if (first_pass) out[i] = (TYPE)0;
        }
        iterations[first + l] += ilane(iteration, l);
        if (!(lane(relative, l) <= residual[first + l])) residual[first + l] = lane(relative, l);
        if (ilane(failure, l)) failures |= 1 << l;
    }
#ifdef __CUDACC__
    free(list);
#endif
    return failures;
"""

CODE = (MASS, _SET_UP, CONTACTS, _NOISE, NEWTON, _ITERATE)
"""To be pasted behind the arguments and constants; returns the lanes that failed, a bit each."""

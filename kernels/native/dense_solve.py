"""Text of Newton's method on the energy of a step, LANES worlds of at most eight free axes side by side.

All is done over the free axes: a contact has a Jacobian of three rows in a frame of its own (normal and two tangents), so
neither bodies nor locked axes appear in the inner loops. Axes behind the last free one are filled up with the identity.
The method is that of ``solver/dense.py``, in the same steps; hard contact without resistance.
"""

__all__ = ["CODE"]

_SET_UP = """
    constexpr int N = 8, NN = 36;
    auto L = [](int i, int j) { return i * (i + 1) / 2 + j; };  // of the lower triangle, j <= i
    const int bodies = body_mass_.shape[1];
    const irow counts = of_worlds_int(count, 1);
    irow active = no == 0;
    if (!first_pass) active = of_worlds_int(repeat, 1) != 0;
    const irow started = active;

    // velocities, those without contacts and actuators, and the mass matrix
    row v[N], target[N], m[NN], light[N];  // light: inverse of the matrix's diagonal
    int moving[N], movers = 0;  // bodies that have free axes
    #pragma unroll
    for (int i = 0; i < N; ++i) v[i] = target[i] = light[i] = zero;
    #pragma unroll
    for (int k = 0; k < NN; ++k) m[k] = zero;
    #pragma unroll
    for (int i = 0; i < N; ++i) m[L(i, i)] = one;
    for (int body = 0; body < bodies; ++body) {
        const int* d = dof_index + 6 * body;
        bool free = false, turns = false;
        for (int i = 0; i < 6; ++i) {
            free = free || d[i] >= 0;
            turns = turns || (i >= 3 && d[i] >= 0);
        }
        if (!free) continue;
        moving[movers++] = body;
        for (int i = 0; i < 6; ++i)
            if (d[i] >= 0) {
                const row before = of_worlds(body_v0 + 6 * body + i, body_v0_stride);
                v[d[i]] = first_pass ? before : of_worlds(body_v1 + 6 * body + i, body_v1_stride);
                target[d[i]] = before;
            }
        const row mass = of_worlds(body_mass + body, body_mass_stride);
        for (int i = 0; i < 3; ++i)
            if (d[i] >= 0) {
                target[d[i]] = fused(of_worlds(gravity + i, gravity_stride), zero + h, target[d[i]]);
                m[L(d[i], d[i])] = mass;
                light[d[i]] = one / mass;
            }
        if (!turns) continue;
        row J[9], R[9], RJ[9];
        #pragma unroll
        for (int k = 0; k < 9; ++k) J[k] = of_worlds(body_inertia + 9 * body + k, body_inertia_stride);
        const TYPE* turn = body_q + 7 * body + 3;
        const row x = of_worlds(turn, body_q_stride), y = of_worlds(turn + 1, body_q_stride);
        const row z = of_worlds(turn + 2, body_q_stride), w = of_worlds(turn + 3, body_q_stride);
        // as Warp turns by quaternions, which matters for derivatives by one that is not a unit
        const row ww = (TYPE)2 * w * w - one;
        R[0] = ww + (TYPE)2 * x * x, R[1] = (TYPE)2 * (x * y - z * w), R[2] = (TYPE)2 * (x * z + y * w);
        R[3] = (TYPE)2 * (x * y + z * w), R[4] = ww + (TYPE)2 * y * y, R[5] = (TYPE)2 * (y * z - x * w);
        R[6] = (TYPE)2 * (x * z - y * w), R[7] = (TYPE)2 * (y * z + x * w), R[8] = ww + (TYPE)2 * z * z;
        #pragma unroll
        for (int k = 0; k < 9; ++k) {
            const int i = k / 3 * 3, j = k % 3;
            RJ[k] = R[i] * J[j] + R[i + 1] * J[3 + j] + R[i + 2] * J[6 + j];
        }
        #pragma unroll
        for (int i = 0; i < 3; ++i) {
            #pragma unroll
            for (int j = 0; j < 3; ++j) {
                const int di = d[3 + i], dj = d[3 + j];
                if (dj >= 0 && dj <= di)
                    m[L(di, dj)] = RJ[3 * i] * R[3 * j] + RJ[3 * i + 1] * R[3 * j + 1] + RJ[3 * i + 2] * R[3 * j + 2];
            }
            if (d[3 + i] >= 0) light[d[3 + i]] = one / m[L(d[3 + i], d[3 + i])];
        }
    }
    auto times = [&](const row* a, const row* x, row* y) {
        #pragma unroll
        for (int i = 0; i < N; ++i) {
            row s = zero;
            #pragma unroll
            for (int j = 0; j < N; ++j) s = fused(a[j <= i ? L(i, j) : L(j, i)], x[j], s);
            y[i] = s;
        }
    };
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
    const int actuators = actuator_body_.shape[0];
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

_CONTACTS = """
    struct Contact {
        row j[3 * N];  // velocity along normal and tangents by those of the free axes
        row a, b, mu, s0;  // coefficients of ``contact/hard.py``
        row u[3], du[3], w[2];  // relative velocity, its change along a step, friction of the primal-dual method
        long columns;  // free axes that act: the first six, or all
    };
    int contacts = 0;
    for (int l = 0; l < LANES; ++l)
        if (ilane(started, l) && ilane(counts, l) > contacts) contacts = ilane(counts, l);
    Contact* list = (Contact*)__builtin_alloca_with_align((contacts > 0 ? contacts : 1) * sizeof(Contact), 512);
    const TYPE *axes = normal, *drawn = twist;
    for (int c = 0; c < contacts; ++c) {
        Contact& k = list[c];
        const irow here = started & (counts > c);
        const row nx = of_worlds(axes + 3 * c, normal_stride), ny = of_worlds(axes + 3 * c + 1, normal_stride);
        const row nz = of_worlds(axes + 3 * c + 2, normal_stride);
        // tangents of Duff et al., Building an orthonormal basis, revisited (2017)
        const row sign = nz < (TYPE)0 ? -one : one;
        const row p = -one / (sign + nz), q = nx * ny * p;
        const row f[9] = {nx, ny, nz, one + sign * nx * nx * p, sign * q, -sign * nx, q, sign + ny * ny * p, -ny};
        const row tx = of_worlds(drawn + 3 * c, twist_stride), ty = of_worlds(drawn + 3 * c + 1, twist_stride);
        const row tz = of_worlds(drawn + 3 * c + 2, twist_stride);
        // where a world has no such contact: never an impulse
        k.a = here ? of_worlds(coefficients + 4 * c, coefficients_stride) : -one;
        k.b = here ? of_worlds(coefficients + 4 * c + 1, coefficients_stride) : zero;
        k.mu = here ? of_worlds(coefficients + 4 * c + 2, coefficients_stride) : zero;
        k.s0 = here ? of_worlds(coefficients + 4 * c + 3, coefficients_stride) : zero;
        k.columns = 6;
        #pragma unroll
        for (int i = 0; i < 3 * N; ++i) k.j[i] = zero;
        for (int side = 0; side < 2; ++side) {
            const irow body_of = side ? of_worlds_int(row_b + c, row_b_stride) : of_worlds_int(row_a + c, row_a_stride);
            if (!any(here & (body_of >= 0))) continue;
            const TYPE* arm = (side ? arm_b : arm_a) + 3 * c;
            const long stride = side ? arm_b_stride : arm_a_stride;
            const row x = of_worlds(arm, stride), y = of_worlds(arm + 1, stride), z = of_worlds(arm + 2, stride);
            const row way = zero + (side ? (TYPE)1 : (TYPE)-1);
            for (int one_of = 0; one_of < movers; ++one_of) {
                const irow on = here & (body_of == moving[one_of]);
                if (!any(on)) continue;
                const int* d = dof_index + 6 * moving[one_of];
                for (int i = 0; i < 6; ++i)
                    if (d[i] >= 6) k.columns = N;
                #pragma unroll
                for (int g = 0; g < 3; ++g) {
                    const row fx = f[3 * g], fy = f[3 * g + 1], fz = f[3 * g + 2];
                    const row lever = fx * tx + fy * ty + fz * tz;
                    const row e[6] = {fx, fy, fz, y * fz - z * fy + lever * nx, z * fx - x * fz + lever * ny,
                                      x * fy - y * fx + lever * nz};
                    #pragma unroll
                    for (int i = 0; i < 6; ++i)
                        if (d[i] >= 0) k.j[g * N + d[i]] += on ? way * e[i] : zero;
                }
            }
        }
    }
    auto along = [&](const Contact& k, const row* x, row* out) {  // J x
        #pragma unroll
        for (int g = 0; g < 3; ++g) {
            row s = zero;
            #pragma unroll
            for (int i = 0; i < 6; ++i) s = fused(k.j[g * N + i], x[i], s);
            if (k.columns > 6) {
                #pragma unroll
                for (int i = 6; i < N; ++i) s = fused(k.j[g * N + i], x[i], s);
            }
            out[g] = s;
        }
    };
    for (int c = 0; c < contacts; ++c) along(list[c], v, list[c].u);
    auto slip_speed = [&](row u1, row u2, row eps) { return root(fused(u1, u1, fused(u2, u2, eps * eps))); };
    auto excess = [&](const Contact& k, row un, row s) { return fused(-k.b, fused(-k.mu, s - k.s0, un), k.a); };

    // squared norm of what the terms in the impulses do to the bodies, as ``stopping.py`` counts them
    auto impulse_terms = [&](const row* v) {
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
            sum += term * term * light[d];
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
                    const row trace = of_worlds(local, body_inertia_stride) +
                                      of_worlds(local + 4, body_inertia_stride) + of_worlds(local + 8, body_inertia_stride);
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
            term += z * k.mu * smaller(fast / s, zero + UNITS) * (TYPE)(1.0 / IMPULSE_ROUNDING);
            sum += on ? term * term * lightness : zero;
        }
        return sum;
    };
"""

_ITERATE = """
    irow failure = no, iteration = no;
    row relative = zero, loose = one;
    for (int round = 0;; ++round) {
        // gradient of the energy, and the size of the terms that balance in it
        row g0[N], g[N], d[N], H[NN], f[N], dv[N];
        row size2 = zero, speed2 = zero, norm2 = zero;
        #pragma unroll
        for (int i = 0; i < N; ++i) dv[i] = v[i] - target[i];
        times(m, dv, f);
        #pragma unroll
        for (int i = 0; i < N; ++i) {
            size2 = fused(f[i] * f[i], light[i], size2);
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
        for (int i = 0; i < N; ++i) norm2 = fused(g[i] * g[i], light[i], norm2);
        const row norm = root(norm2);
        row size = tolerance * root(size2) + ROUNDING * root(larger(speed2, zero));
        const irow near = active & (norm > size) & (norm < (TYPE)IN_SIGHT * size);
        if (any(near)) {
            const row known = IMPULSE_ROUNDING * UNIT * root(impulse_terms(v));
            size = near ? size + known : size;
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
            const row s = slip_speed(k.u[1], k.u[2], slow), inverse = one / s, e0 = slow * inverse;
            const row z = excess(k, k.u[0], s), e1 = k.u[1] * inverse, e2 = k.u[2] * inverse;
            const row b = on ? k.b : zero, hold = on ? z * k.mu * inverse : zero;
            // b gg + hold (1 - ee), where 1 - ee comes without the difference that is all rounding in fast slip
            row t11 = hold * fused(e2, e2, e0 * e0), t22 = hold * fused(e1, e1, e0 * e0);
            row t12 = -hold * (e1 * e2);
            if (dual) {  // friction on its way in place of one of the two
                t11 = hold * (one - e1 * k.w[0]);
                t22 = hold * (one - e2 * k.w[1]);
                t12 = -hold * ((e1 * k.w[1] + e2 * k.w[0]) * (TYPE)0.5);
            }
            const row ge1 = k.mu * e1, ge2 = k.mu * e2;
            auto add = [&](auto columns) {
                constexpr int M = decltype(columns)::value;
                row ga[M];
                #pragma unroll
                for (int i = 0; i < M; ++i) 
                    ga[i] = fused(-ge2, k.j[2 * N + i], fused(-ge1, k.j[N + i], k.j[i]));
                #pragma unroll
                for (int i = 0; i < M; ++i) {
                    const row x = ga[i] * b, y = fused(k.j[N + i], t11, k.j[2 * N + i] * t12);
                    const row zz = fused(k.j[N + i], t12, k.j[2 * N + i] * t22);
                    #pragma unroll
                    for (int j = 0; j <= i; ++j)
                        H[L(i, j)] = fused(zz, k.j[2 * N + j], fused(y, k.j[N + j], fused(x, ga[j], H[L(i, j)])));
                }
            };
            struct First { enum { value = 6 }; };
            struct All { enum { value = 8 }; };
            if (k.columns > 6) add(All{});
            else add(First{});
        }

        // Cholesky factor, with inverses on the diagonal
        #pragma unroll
        for (int j = 0; j < N; ++j) {
            row s = H[L(j, j)];
            #pragma unroll
            for (int k = 0; k < j; ++k) s = fused(-H[L(j, k)], H[L(j, k)], s);
            const row inverse = one / root(s);
            H[L(j, j)] = inverse;
            #pragma unroll
            for (int i = j + 1; i < N; ++i) {
                row x = H[L(i, j)];
                #pragma unroll
                for (int k = 0; k < j; ++k) x = fused(-H[L(i, k)], H[L(j, k)], x);
                H[L(i, j)] = x * inverse;
            }
        }
        #pragma unroll
        for (int i = 0; i < N; ++i) {
            row s = -g[i];
            #pragma unroll
            for (int k = 0; k < i; ++k) s = fused(-H[L(i, k)], d[k], s);
            d[i] = s * H[L(i, i)];
        }
        #pragma unroll
        for (int i = N - 1; i >= 0; --i) {
            row s = d[i];
            #pragma unroll
            for (int k = i + 1; k < N; ++k) s = fused(-H[L(k, i)], d[k], s);
            d[i] = s * H[L(i, i)];
        }

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
                trial = falls ? smaller(larger(trial, zero + (TYPE)1.5), zero + (TYPE)4) : trial;
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
    return failures;
"""

CODE = (_SET_UP, _CONTACTS, _ITERATE)
"""To be pasted behind the arguments and constants; returns the lanes that failed, a bit each."""

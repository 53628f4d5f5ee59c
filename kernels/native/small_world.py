"""Text of a small world's equations over its free axes, at most eight, for LANES worlds side by side.

All is done over the free axes: a contact has a Jacobian of three rows in a frame of its own (normal and two tangents),
so neither bodies nor locked axes appear in the inner loops. Axes behind the last free one are filled up with the
identity. Hard contact without resistance.
"""

__all__ = ["CONTACTS", "MASS", "NEWTON"]

MASS = """
    constexpr int N = 8, NN = 36;
    auto L = [](int i, int j) { return i * (i + 1) / 2 + j; };  // of the lower triangle, j <= i
    row m[NN], light[N];  // light: inverse of the matrix's diagonal
    int moving[N], movers = 0;  // bodies that have free axes
    #pragma unroll
    for (int i = 0; i < N; ++i) light[i] = zero;
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
        const row mass = of_worlds(body_mass + body, body_mass_stride);
        for (int i = 0; i < 3; ++i)
            if (d[i] >= 0) {
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
"""
"""Mass matrix ``m``, the inverse ``light`` of its diagonal, and the bodies that have free axes."""

CONTACTS = """
    struct Contact {
        row j[3 * N];  // velocity along normal and tangents by those of the free axes
        row a, b, mu, s0;  // coefficients of ``contact/hard.py``
        row u[3], du[3], w[2];  // relative velocity, its change along a step, friction of the primal-dual method
        long columns;  // free axes that act: the first six, or all
    };
    int contacts = 0;
    for (int l = 0; l < LANES; ++l)
        if (ilane(started, l) && ilane(counts, l) > contacts) contacts = ilane(counts, l);
#ifdef __CUDACC__
    Contact* list = (Contact*)malloc((contacts > 0 ? contacts : 1) * sizeof(Contact));
#else
    Contact* list = (Contact*)__builtin_alloca_with_align((contacts > 0 ? contacts : 1) * sizeof(Contact), 512);
#endif
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
    auto slip_speed = [&](row u1, row u2, row eps) { return root(fused(u1, u1, fused(u2, u2, eps * eps))); };
    auto excess = [&](const Contact& k, row un, row s) { return fused(-k.b, fused(-k.mu, s - k.s0, un), k.a); };
"""
"""Contacts of the worlds that have ``started``, ``counts`` each, with their Jacobians; and the law."""

NEWTON = """
    // adds a contact, where ``on``, to the Hessian at a stiction speed of ``slow``; see ``solver/dense_hessian.py``
    struct First { enum { value = 6 }; };
    struct All { enum { value = 8 }; };
    auto add_contact = [&](const Contact& k, irow on, row slow, bool dual, row* H) {
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
        if (k.columns > 6) add(All{});
        else add(First{});
    };
    auto solve = [&](row* H, const row* g, row* d) {  // H d = -g; H becomes its factor, diagonal inverted
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
    };
"""
"""A contact's part of the Hessian, and the solve with it."""

"""Text of the linear solve of ``solver/adjoint.py``, LANES worlds of at most eight free axes side by side."""

from .small_world import CONTACTS, MASS, NEWTON

__all__ = ["CODE"]

_SET_UP = """
    const irow counts = of_worlds_int(count, 1);
    const irow started = counts >= 0;  // others take no such solve
"""

_SOLVE = """
    row v[N], g[N], d[N], H[NN];
    #pragma unroll
    for (int i = 0; i < N; ++i) v[i] = g[i] = zero;
    #pragma unroll
    for (int k = 0; k < NN; ++k) H[k] = m[k];
    for (int one_of = 0; one_of < movers; ++one_of)
        for (int i = 0; i < 6; ++i) {
            const int axis = 6 * moving[one_of] + i, d = dof_index[axis];
            if (d < 0) continue;
            v[d] = of_worlds(body_v1 + axis, body_v1_stride);
            g[d] = -of_worlds(bar_v1 + axis, bar_v1_stride);
        }
    for (int i = 0; i < actuators; ++i) {
        const int d = dof_index[6 * actuator_body[i] + actuator_axis[i]], kind = actuator_kind[i];
        if (d < 0) continue;
        const row kd = of_worlds(actuator_damping + i, actuator_damping_stride);
        if (kind == POSITION)
            H[L(d, d)] += h * (h * of_worlds(actuator_stiffness + i, actuator_stiffness_stride) + kd);
        else if (kind == VELOCITY)
            H[L(d, d)] += h * kd;
    }
    for (int c = 0; c < contacts; ++c) {
        Contact& k = list[c];
        along(k, v, k.u);
        const irow on = excess(k, k.u[0], slip_speed(k.u[1], k.u[2], zero + eps)) > (TYPE)0;
        for (int l = 0; l < LANES && first + l < worlds; ++l)
            if (ilane(counts, l) > c) active[(first + l) * active_stride + c] = ilane(on, l) ? 1 : 0;
        if (any(on)) add_contact(k, on, zero + eps, false, H);
    }
    solve(H, g, d);
    for (int l = 0; l < LANES && first + l < worlds; ++l) {
        TYPE* out = z + (first + l) * z_stride;
        for (int i = 0; i < 6 * bodies; ++i) {
            const int k = dof_index[i];
            out[i] = k >= 0 && ilane(started, l) ? lane(d[k >= 0 ? k : 0] + zero, l) : (TYPE)0;
        }
    }
#ifdef __CUDACC__
    free(list);
#endif
"""

CODE = (MASS, _SET_UP, CONTACTS, NEWTON, _SOLVE)
"""To be pasted behind the arguments and constants."""

"""Text of the adjoint of the bodies' and actuators' power (``solver/adjoint.py``), LANES worlds side by side.

power = -z.(M (v1 - v*)) over the bodies, with M at the start of the step and v* = mask (v0 + h gravity), and z times an
actuator's impulse along its axis; z and v1 are held fixed.
"""

from .formulas import Formulas
from .free_motion import assigned, coordinate
from .functions import FUNCTIONS
from .vectors import Matrix, Quaternion, Vector

__all__ = ["CODE"]


def _body() -> str:
    f = Formulas()
    rotation, v0, mass = f.inputs("turn", 4), f.inputs("v0", 6), f.input("mass")
    local, down = f.inputs("local", 9), f.inputs("down", 3)
    mask, v1, z, h = f.inputs("free", 6), f.inputs("v1", 6), f.inputs("zb", 6), f.input("zero + h")
    aim = [v + g * h for v, g in zip(v0[:3], down, strict=True)] + v0[3:]
    change = [v - x * m for v, x, m in zip(v1, aim, mask, strict=True)]
    q = Quaternion.of(rotation)
    spin, turned_z = q.rotate_inverse(Vector.of(change[3:])), q.rotate_inverse(Vector.of(z[3:]))
    power = -(mass * Vector.of(z[:3]).dot(Vector.of(change[:3])) + turned_z.dot(Matrix(tuple(local)) @ spin))
    bars = f.gradient([(power, f.row(1.0))], [*rotation, *v0, mass, *local, *down])
    return f.texts(bars)[0] + assigned(f, "bar", bars)


def _coordinate() -> str:
    f = Formulas("y")
    rotation = f.inputs("turn", 4)
    x = coordinate(Quaternion.of(rotation), Vector.of(f.inputs("along", 3)))
    bars = f.gradient([(x, f.row(1.0))], rotation)
    return f.texts([x, *bars])[0] + f"    x = {f.name(x)};\n" + assigned(f, "x_bar", bars)


CODE = f"""{FUNCTIONS}
    // what a world has no part in is not added, so that no sign of a zero depends on the neighbours
    auto add = [&](TYPE* x, long stride, irow where, row bar) {{
        #pragma unroll
        for (int l = 0; l < LANES; ++l)
            if (ilane(where, l) && first + l < worlds) x[at[l] * stride] += lane(bar, l);
    }};
    for (int body = 0; body < bodies; ++body) {{
        row zb[6];
        irow moves = no;
        for (int i = 0; i < 6; ++i) {{
            zb[i] = of_worlds(z + 6 * body + i, z_stride);
            moves = moves | (zb[i] != (TYPE)0);
        }}
        if (!any(moves)) continue;
        row turn[4], v0[6], v1[6], local[9], down[3], free[6], bar[23];
        for (int i = 0; i < 4; ++i) turn[i] = of_worlds(body_q + 7 * body + 3 + i, body_q_stride);
        for (int i = 0; i < 6; ++i) {{
            v0[i] = of_worlds(body_v0 + 6 * body + i, body_v0_stride);
            v1[i] = of_worlds(body_v1 + 6 * body + i, body_v1_stride);
            free[i] = zero + mask[6 * body + i];
        }}
        for (int i = 0; i < 9; ++i) local[i] = of_worlds(body_inertia + 9 * body + i, body_inertia_stride);
        for (int i = 0; i < 3; ++i) down[i] = of_worlds(gravity + i, gravity_stride);
        const row mass = of_worlds(body_mass + body, body_mass_stride);
{_body()}
        for (int i = 0; i < 4; ++i) add(bar_q + 7 * body + 3 + i, bar_q_stride, moves, bar[i]);
        for (int i = 0; i < 6; ++i) add(bar_v0 + 6 * body + i, bar_v0_stride, moves, bar[4 + i]);
        add(bar_mass + body, bar_mass_stride, moves, bar[10]);
        for (int i = 0; i < 9; ++i) add(bar_inertia + 9 * body + i, bar_inertia_stride, moves, bar[11 + i]);
        for (int i = 0; i < 3; ++i) add(bar_gravity + i, bar_gravity_stride, moves, bar[20 + i]);
    }}
    for (int i = 0; i < actuators; ++i) {{
        const int body = actuator_body[i], axis = actuator_axis[i], kind = actuator_kind[i];
        const row za = of_worlds(z + 6 * body + axis, z_stride);
        const irow moves = za != (TYPE)0;
        if (!any(moves)) continue;
        const row seed = za * h, u = of_worlds(control + i, control_stride);
        const row speed = of_worlds(body_v1 + 6 * body + axis, body_v1_stride);
        const row kp = of_worlds(actuator_stiffness + i, actuator_stiffness_stride);
        const row kd = of_worlds(actuator_damping + i, actuator_damping_stride);
        row by_control = seed, by_damping = zero;
        if (kind == POSITION) {{
            row x, x_bar[4];
            if (axis < 3)
                x = of_worlds(body_q + 7 * body + axis, body_q_stride);
            else {{
                row turn[4], along[3] = {{zero, zero, zero}};
                along[axis - 3] = one;
                for (int k = 0; k < 4; ++k) turn[k] = of_worlds(body_q + 7 * body + 3 + k, body_q_stride);
{_coordinate()}
            }}
            const row by_place = -seed * kp;
            if (axis < 3)
                add(bar_q + 7 * body + axis, bar_q_stride, moves, by_place);
            else
                for (int k = 0; k < 4; ++k) add(bar_q + 7 * body + 3 + k, bar_q_stride, moves, by_place * x_bar[k]);
            by_control = seed * kp;
            by_damping = -seed * speed;
            add(bar_stiffness + i, bar_stiffness_stride, moves, seed * (u - x - h * speed));
        }} else if (kind == VELOCITY) {{
            by_control = seed * kd;
            by_damping = seed * (u - speed);
        }}
        add(bar_control + i, bar_control_stride, moves, by_control);
        if (kind == POSITION || kind == VELOCITY) add(bar_damping + i, bar_damping_stride, moves, by_damping);
    }}
"""
"""To be pasted behind the arguments and the kinds of actuators."""

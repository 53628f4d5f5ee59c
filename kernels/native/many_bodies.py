"""Text that moves LANES bodies of larger worlds side by side, and its reverse; the formulas of ``free_motion.py``.

A lane is a body, wherever it is: number ``at[l]`` of all bodies of all worlds. Among them may be some that spin freely
and others; a body's numbers do not depend on those beside it.
"""

from __future__ import annotations

import functools

from .formulas import Formulas
from .free_motion import FreeMotion, assigned, step_formulas
from .functions import FUNCTIONS
from .vectors import Matrix, Quaternion, Vector

__all__ = ["integrate", "integrate_adjoint", "solved"]

_SPINS = """
    irow spins = no;
    for (int l = 0; l < LANES; ++l) spins[l] = body_gyroscopic[at[l] % bodies] != 0 ? (INT)-1 : (INT)0;
"""

_LOAD = f"""{FUNCTIONS}{_SPINS}
    row pose[7], vm[6], vs[6], local[9];
    for (int i = 0; i < 7; ++i) pose[i] = of_worlds(body_q + i, 7);
    for (int i = 0; i < 6; ++i) vm[i] = of_worlds(body_vm + i, 6), vs[i] = of_worlds(body_vs + i, 6);
    for (int i = 0; i < 9; ++i) local[i] = of_worlds(body_inertia + i, 9);
"""


def _both(texts: list[str], out: str, count: int) -> str:
    """Text that takes the first branch for lanes that spin and the second for the others, into ``out``."""
    return f"""
    if (any(spins)) {{
{texts[0]}
    }}
    if (any(spins == 0)) {{
        row spun[{count}];
        for (int i = 0; i < {count}; ++i) spun[i] = {out}[i];
{texts[1]}
        for (int i = 0; i < {count}; ++i) {out}[i] = spins ? spun[i] : {out}[i];
    }}
"""


@functools.cache
def integrate(motion: FreeMotion) -> str:
    """Text that writes the poses and velocities after a step."""
    branches = []
    for spins in (True, False):
        f = Formulas()
        _, out = step_formulas(motion, f, spins)
        branches.append(f.texts(out)[0] + assigned(f, "next", out))
    return f"""{_LOAD}
    row next[13];
    for (int i = 0; i < 13; ++i) next[i] = zero;
{_both(branches, "next", 13)}
    for (int l = 0; l < LANES && first + l < worlds; ++l) {{
        for (int i = 0; i < 7; ++i) body_q1[7 * (first + l) + i] = lane(next[i], l);
        for (int i = 0; i < 6; ++i) body_v1[6 * (first + l) + i] = lane(next[7 + i], l);
    }}
"""


@functools.cache
def integrate_adjoint(motion: FreeMotion) -> str:
    """Text that adds the adjoints of a step's inputs to them."""
    branches = []
    for spins in (True, False):
        f = Formulas()
        inputs, out = step_formulas(motion, f, spins)
        bars = f.gradient([*zip(out, f.inputs("next_bar", 13), strict=True)], inputs)
        branches.append(f.texts(bars)[0] + assigned(f, "bar", bars))
    return f"""{_LOAD}
    row next_bar[13], bar[28];
    for (int i = 0; i < 28; ++i) bar[i] = zero;
    for (int i = 0; i < 7; ++i) next_bar[i] = of_worlds(bar_q1 + i, 7);
    for (int i = 0; i < 6; ++i) next_bar[7 + i] = of_worlds(bar_v1 + i, 6);
{_both(branches, "bar", 28)}
    for (int l = 0; l < LANES && first + l < worlds; ++l) {{
        const long body = first + l;
        for (int i = 0; i < 7; ++i) bar_q[7 * body + i] += lane(bar[i], l);
        for (int i = 0; i < 6; ++i) bar_vm[6 * body + i] += lane(bar[7 + i], l);
        for (int i = 0; i < 6; ++i) bar_vs[6 * body + i] += lane(bar[13 + i], l);
        if (ilane(spins, l))
            for (int i = 0; i < 9; ++i) bar_inertia[9 * body + i] += lane(bar[19 + i], l);
    }}
"""


@functools.cache
def solved(motion: FreeMotion) -> str:
    """Text that writes the velocities that the solve gave, from the poses before a step and the state after it."""
    f = Formulas()
    before, after, v1 = f.inputs("before", 4), f.inputs("after", 4), f.inputs("v1", 6)
    inertia = Matrix(tuple(f.inputs("local", 9)))
    spin = motion.carried(Quaternion.of(after), Quaternion.of(before), Vector.of(v1[3:]), inertia).rows
    return f"""{_SPINS}
    row v1[6], before[4], after[4], local[9];
    for (int i = 0; i < 6; ++i) v1[i] = of_worlds(body_v1 + i, 6);
    for (int i = 0; i < 4; ++i) before[i] = of_worlds(body_q + 3 + i, 7), after[i] = of_worlds(body_q1 + 3 + i, 7);
    for (int i = 0; i < 9; ++i) local[i] = of_worlds(body_inertia + i, 9);
    if (any(spins)) {{
{f.texts(spin)[0]}
        v1[3] = spins ? {f.name(spin[0])} : v1[3];
        v1[4] = spins ? {f.name(spin[1])} : v1[4];
        v1[5] = spins ? {f.name(spin[2])} : v1[5];
    }}
    for (int l = 0; l < LANES && first + l < worlds; ++l)
        for (int i = 0; i < 6; ++i) body_vs[6 * (first + l) + i] = lane(v1[i], l);
"""

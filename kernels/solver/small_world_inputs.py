"""How the structs of kernels are called in the native text of small worlds, see ``native/small_world.py``."""

from ..bodies.motion import ACTUATOR_POSITION, ACTUATOR_VELOCITY

__all__ = ["HEAD", "INTS", "SCALARS"]

HEAD = f"""
    constexpr int POSITION = {int(ACTUATOR_POSITION)}, VELOCITY = {int(ACTUATOR_VELOCITY)};
    const int worlds = bodies_.mass.shape[0], bodies = bodies_.mass.shape[1], actuators = actuators_.body.shape[0];
"""
"""Of a native function with the arguments ``bodies_``, ``actuators_`` and ``rows_``."""

INTS = {
    "dof_index": "bodies_.dof_index", "actuator_body": "actuators_.body", "actuator_axis": "actuators_.axis",
    "actuator_kind": "actuators_.kind", "row_a": "rows_.body_a", "row_b": "rows_.body_b", "count": "count_",
}  # fmt: skip
SCALARS = {
    "body_mass": "bodies_.mass", "body_inertia": "bodies_.inertia", "gravity": "bodies_.gravity",
    "actuator_stiffness": "actuators_.stiffness", "actuator_damping": "actuators_.damping", "normal": "rows_.normal",
    "arm_a": "rows_.arm_a", "arm_b": "rows_.arm_b", "twist": "rows_.twist", "coefficients": "rows_.coefficients",
    "body_q": "body_q_", "body_v1": "body_v1_",
}  # fmt: skip

"""A scene of one's own as a task: a finger turns an L-shaped bracket on a table.

From the command line: ``carom compare own_scene.py:bracket``, ``carom optimize own_scene.py:bracket``, and so on.
"""

import carom
from carom.envs import Scene, WayPoints


def bracket(goal: tuple[float, float, float] = (0.10, 0.02, 0.5), friction: float = 0.5) -> Scene:
    """The task: way-points of the finger in, distance of the bracket from a goal pose x [m], y [m], yaw [rad] out."""
    b = carom.ModelBuilder()
    table = b.add_ground(friction=friction, name="table")
    part = b.add_body(position=(0.0, 0.0, 0.02), mass=0.5, name="bracket")
    b.add_box(part, half_extents=(0.06, 0.015, 0.02), friction=friction, name="long arm")
    b.add_box(part, half_extents=(0.015, 0.04, 0.02), position=(0.045, 0.055, 0.0), friction=friction, name="short arm")
    finger = b.add_body(position=(-0.10, 0.0, 0.02), mass=0.3, locked=("z", "angular"), name="finger")
    b.exclude(table, b.add_sphere(finger, 0.015, friction=friction, name="finger"))
    for axis in "xy":
        b.add_actuator(finger, axis, "position", stiffness=2000.0, damping=60.0)

    def cost(end, theta):
        x, y, yaw = (end["bracket"].planar - theta.new_tensor(goal)).unbind(-1)
        return (x**2 + y**2) / 0.1**2 + 2.0 * (1.0 - yaw.cos())

    start = [-0.09, 0.0, -0.04, 0.0, 0.02, 0.0]
    return Scene(b, cost, controls=WayPoints(3), duration=1.5, initial=start, scale=0.01, name="bracket")


def main() -> None:
    """Lower the cost by the exact gradient, and print where the bracket ends."""
    task = bracket()
    found = carom.optimize(task, gradient="autodiff", rollouts=300)
    print(f"cost {found.start_cost:.3f} -> {found.cost:.4f} in {found.rollouts} rollouts")
    x, y, yaw = task.bodies(task.rollout(found.theta[None]).final)["bracket"].planar[0].tolist()
    print(f"the bracket ends at x {x:.3f} m, y {y:.3f} m, yaw {yaw:.2f} rad; goal 0.100, 0.020, 0.50")


if __name__ == "__main__":
    main()

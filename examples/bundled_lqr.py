"""Push a box by LQR on bundled dynamics: iterative randomized-smoothing LQR (Suh, Pang, Tedrake, 2021).

The pusher starts 3 cm from the box and is told to stay there. The exact linear model does not know that it could move
the box, so LQR does nothing; the model averaged over noise on the controls does.
"""

import torch

import carom
from carom.gradients import Bundle, Bundling
from carom.sim import SimulatorStep

STEPS, GOAL = 20, 0.1  # the box is to move 10 cm


def make_step() -> SimulatorStep:
    """A box and a pusher on one axis, quasi-dynamic; the state is (box.x, tip.x) [m], the control the tip's target."""
    builder = carom.ModelBuilder(gravity=(0.0, 0.0, 0.0))
    box = builder.add_body(mass=1.0, locked=("y", "z", "angular"), name="box")
    builder.add_box(box, (0.05, 0.05, 0.05))
    tip = builder.add_body(position=(-0.1, 0.0, 0.0), mass=0.1, locked=("y", "z", "angular"), name="tip")
    builder.add_sphere(tip, 0.02)
    builder.add_actuator(tip, "x", stiffness=2000.0, damping=0.0)
    model = builder.finalize(dtype="float64")
    return SimulatorStep(carom.Simulator(model, step=0.05, quasi_dynamic=True, threads=1))


def lqr(bundle: Bundle, states: torch.Tensor, effort: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Feedback [T, m, n] and change [T, m] of the controls: Riccati's recursion on the bundles along ``states``.

    Cost: (box.x - GOAL)^2 at every step, 100 times that at the end, and ``effort`` times each change squared.
    """
    weight = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    error = states - torch.tensor([GOAL, 0.0], dtype=torch.float64)
    quadratic, linear = 100.0 * weight, 100.0 * weight @ error[-1]
    gains, changes = [], []
    for t in reversed(range(STEPS)):
        a, b = bundle.A[t], bundle.B[t]
        offset = bundle.next_state[t] - states[t + 1]
        curvature = effort * torch.eye(b.shape[1], dtype=torch.float64) + b.T @ quadratic @ b
        gains.append(-torch.linalg.solve(curvature, b.T @ quadratic @ a))
        changes.append(-torch.linalg.solve(curvature, b.T @ (quadratic @ offset + linear)))
        linear = weight @ error[t] + a.T @ (quadratic @ (offset + b @ changes[-1]) + linear)
        quadratic = weight + a.T @ quadratic @ (a + b @ gains[-1])
    return torch.stack(gains[::-1]), torch.stack(changes[::-1])


def optimize(scale: float, iterations: int = 6) -> float:
    """Where the box ends [m]; the noise shrinks by 0.7 an iteration. A scale of zero is LQR on the exact model."""
    step = make_step()
    start = step.coordinates.vector(step.simulator.model.state(1))
    controls = start[:, 1:].repeat(STEPS, 1)
    states = start.repeat(STEPS + 1, 1)
    for iteration in range(iterations):
        if scale:
            bundling = Bundling(control_scale=scale * 0.7**iteration, samples=20)
            bundle = bundling.bundle(step, states[:-1], controls, seed=iteration)
        else:
            a, b = step.step_jacobian(states[:-1], controls)
            still, none = torch.zeros_like(states[1:]), torch.zeros_like(a)
            bundle = Bundle(a, b, states[1:], none, torch.zeros_like(b), still, STEPS, 0.0)
        gains, changes = lqr(bundle, states)
        now, path, tried = start, [start], []
        for t in range(STEPS):
            tried.append(controls[t : t + 1] + changes[t] + (now - states[t]) @ gains[t].T)
            now = step(now, tried[-1])
            path.append(now)
        controls, states = torch.cat(tried), torch.cat(path)
    return float(states[-1, 0])


def main() -> None:
    """Print where the box ends."""
    print(f"goal           {GOAL:.3f} m")
    print(f"exact model    {optimize(0.0, iterations=2):.3f} m")
    print(f"bundled model  {optimize(0.04):.3f} m")


if __name__ == "__main__":
    main()

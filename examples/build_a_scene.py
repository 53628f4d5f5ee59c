"""A scene of one's own: slide a box, and ask how far it gets depends on what.

The box stops after v0^2 / (2 mu g), so the exact gradients are known: d/dv0 = v0/(mu g), d/dmu = -v0^2/(2 mu^2 g).
"""

import carom


def main() -> None:
    """Print the stopping distance and its derivatives beside the closed forms."""
    builder = carom.ModelBuilder()
    builder.add_ground(friction=0.4)
    box = builder.add_body(position=(0.0, 0.0, 0.05), velocity=(1.0, 0.0, 0.0), name="box")
    builder.add_box(box, half_extents=(0.05, 0.05, 0.05), density=1000.0, friction=0.4)
    model = builder.finalize(device="cpu", dtype="float64")
    simulator = carom.Simulator(model, step=0.001)

    state = model.state()
    state.body_v.requires_grad_()
    friction = model.shape_friction.clone().requires_grad_()
    final = simulator.rollout(state, parameters={"shape_friction": friction}, steps=400, record=False).final
    distance = final.body_q[0, 0, 0]
    distance.backward()

    v0, mu, g = 1.0, 0.4, 9.81
    print(f"stopping distance {distance.item():.4f} m, closed form {v0**2 / (2 * mu * g):.4f} m")
    print(f"d/dv0 {float(state.body_v.grad[0, 0, 0]):.4f} s, closed form {v0 / (mu * g):.4f} s")
    # both shapes have the same coefficient, and the pair their harmonic mean: the two derivatives add up
    print(f"d/dmu {float(friction.grad.sum()):.4f} m, closed form {-(v0**2) / (2 * mu**2 * g):.4f} m")


if __name__ == "__main__":
    main()

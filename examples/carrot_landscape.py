"""The cost of one push through a carrot pile over where the push ends: raw, and fitted by a small network.

The push begins at (-0.4, 0.4) of the square seen from above (its side is 1, its middle the origin); its end runs over a
grid between -0.4 and 0.4. Suh and Tedrake's experiment (WAFR 2020). 100 x 100 pushes of ten pieces take about four
minutes of one core; an interrupted run goes on where it was.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import carom
from carom.gradients.learned import GridCosts, LandscapeFit, cost_on_grid, fit_landscape


def push_landscape(task: carom.envs.Carrots, points: int, path: Path | None, label: dict) -> GridCosts:
    """Costs of pushes from (-0.4, 0.4) of the view to a grid of end points."""
    side, (x, y) = 2.0 * task.view.half_side, task.view.centre
    theta = torch.tensor([x - 0.4 * side, y + 0.4 * side, x, y], dtype=task.dtype)
    low, high = (x - 0.4 * side, y - 0.4 * side), (x + 0.4 * side, y + 0.4 * side)
    return cost_on_grid(task, theta, (2, 3), low, high, points, path=path, label=label, progress=True)


def draw(task: carom.envs.Carrots, fit: LandscapeFit, path: Path) -> None:
    """Costs above, gradient norms below; raw on the left, of the network on the right."""
    grid = fit.grid
    extent = [100.0 * float(v) for v in (grid.x[0], grid.x[-1], grid.y[0], grid.y[-1])]
    norms = [fit.raw.norm(dim=-1), fit.gradients.norm(dim=-1)]
    figure, axes = plt.subplots(2, 2, figsize=(7.0, 6.2), sharex=True, sharey=True, layout="constrained")
    rows = (
        ([100.0 * grid.costs, 100.0 * fit.costs], "cost [cm]", "cividis", float(100.0 * grid.costs.max())),
        (norms, "norm of the gradient [m/m]", "magma", float(torch.quantile(norms[0], 0.98))),
    )
    for line, (pictures, what, colors, top) in zip(axes, rows, strict=True):
        for ax, picture, name in zip(line, pictures, ("raw", "network 2-100-100-1"), strict=True):
            low = float(pictures[0].min())
            image = ax.imshow(picture, origin="lower", extent=extent, cmap=colors, vmin=low, vmax=top)
            centres = 100.0 * task.pile_state(1).body_q[0, : task.piece_count, :2]
            ax.plot(*centres.T, "o", ms=3, mfc="none", mec="white", mew=0.7)
            corners = [(100.0 * u, 100.0 * v) for u, v in [*task.goal_outline, task.goal_outline[0]]]
            ax.plot(*zip(*corners, strict=True), color="white", lw=0.8)
            ax.set_title(f"{what.split(' [')[0]}, {name}", fontsize=9)
        figure.colorbar(image, ax=line, label=what)
    figure.supxlabel("end of the push, x [cm]", fontsize=9)
    figure.supylabel("y [cm]", fontsize=9)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    """Make or resume the grid, fit it, print the figures and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pieces", type=int, default=10)
    parser.add_argument("--points", type=int, default=100, help="grid points a side")
    parser.add_argument("--folder", type=Path, default=Path("carom-runs/carrot-landscape"))
    arguments = parser.parse_args()
    task = carom.envs.make("carrots", pieces=arguments.pieces)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / f"costs-{arguments.pieces}-{arguments.points}.npz"
    grid = push_landscape(task, arguments.points, path, {"pieces": arguments.pieces})
    fit = fit_landscape(grid, progress=True)
    print(f"fit in {fit.seconds:.1f} s ({fit.core_seconds:.1f} core-seconds), error {fit.error:.3f} of the deviation")
    spacing = float(grid.x[1] - grid.x[0])
    print(f"raw differences over {2e3 * spacing:.1f} mm are {fit.ratio:.2f} times the fitted gradients (rms)")
    for step in (1e-3, 1e-4):
        print(f"over {2e3 * step:.1f} mm: {fit.ratio_over(task, step):.2f} times")
    picture = arguments.folder / "landscape.png"
    draw(task, fit, picture)
    print(f"written to {picture}")


if __name__ == "__main__":
    main()

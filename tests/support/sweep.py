"""Exact gradients of a random scene against central differences, and those of single precision and the other solver.

Run one scene: ``PYTHONPATH=tests/support python -m sweep "heap" 17``.
"""

import copy
import itertools
import sys
import time
import warnings
from dataclasses import dataclass, replace

import torch
from random_scenes import FAMILIES, WORLDS, beside, draw, single

from carom.sim import SimulationWarning, State

EPS = tuple(1e-3 / 4.0**k for k in range(8))
"""Steps of the differences in parts of each direction's size: 1e-3 ... 6e-8."""

RIGHT = 1e-6
"""Part of the scale by which an exact derivative may differ, besides the error of the differences."""

SETTLED = 1e-4
"""Differences that do not agree with each other to this part of the scale are left out, and counted."""

NOISE = 5e-15
"""Rounding of a loss, in parts of its size, or of a tenth where it is less; over a step it is one of a difference."""

ABSOLUTE = 1e-13
"""Rounding of a derivative, for what rests and hardly depends on anything."""

DENSE = FAMILIES[:3]
DIRECTIONS = 2
LOSSES = 3


def product(p, q):
    """Quaternion products [..., 4]."""
    a, b = p[..., :3], q[..., :3]
    xyz = p[..., 3:] * b + q[..., 3:] * a + torch.linalg.cross(a.expand_as(b), b)
    return torch.cat([xyz, p[..., 3:] * q[..., 3:] - (a * b).sum(-1, keepdim=True)], -1)


class Moved:
    """The losses [W, LOSSES] of a scene as functions of z [W, D], the parts of D random directions in its inputs."""

    def __init__(self, scene):
        self.scene = scene
        gen = torch.Generator().manual_seed(scene.seed)
        bodies = scene.state.body_q.shape[1]
        self.names, self.tangents = [], []

        def normal(*shape):
            return torch.randn(shape, generator=gen, dtype=torch.float64)

        model = scene.simulator.model
        free = torch.as_tensor(model.body_free, dtype=torch.float64)
        sizes = {"place": 0.01, "turn": 0.1, "body_v": torch.tensor([0.3] * 3 + [3.0] * 3, dtype=torch.float64)}
        for name in ("place", "turn", "body_v"):
            width = 6 if name == "body_v" else 3
            axes = {"place": free[:, :3], "turn": free[:, 3:], "body_v": free}[name]
            self._add(name, [normal(WORLDS, bodies, width) * axes * sizes[name] for _ in range(DIRECTIONS)])
        for name, value in scene.parameters.items():
            value = value.double()
            if name == "body_inertia":  # smaller than what the triangle inequality leaves
                size = value.diagonal(dim1=-2, dim2=-1).amin(-1)[..., None, None]
                each = [0.2 * size * normal(*value.shape) for _ in range(DIRECTIONS)]
                each = [0.5 * (x + x.mT) for x in each]
            elif name == "gravity":
                each = [normal(*value.shape) for _ in range(DIRECTIONS)]
            else:
                each = [0.3 * value.abs() * normal(*value.shape).clamp(-2, 2) for _ in range(DIRECTIONS)]
            self._add(name, each)
        if scene.control is not None:
            size = scene.control.abs().amax()
            self._add(
                "control", [(0.1 * size * normal(*scene.control.shape)).transpose(0, 1) for _ in range(DIRECTIONS)]
            )
        self.weights = [normal(bodies, 7), normal(bodies, 6), normal(bodies, 7)]
        self.weights[1] /= torch.tensor([1.0] * 3 + [10.0] * 3, dtype=torch.float64)
        self.size = len(self.tangents)

    def of(self, scene):
        """The same directions and losses in another form of the scene: of another precision, or with bodies added."""
        moved, bodies = copy.copy(self), scene.state.body_q.shape[1]
        more, dtype = bodies - self.scene.state.body_q.shape[1], scene.state.body_q.dtype
        moved.scene, moved.tangents = scene, []
        for name, x in zip(self.names, self.tangents, strict=True):
            if name not in ("gravity", "control") and not name.startswith("actuator"):
                x = torch.cat([x, x.new_zeros(WORLDS, more, *x.shape[2:])], 1)
            moved.tangents.append(x.to(dtype))
        moved.weights = [x.to(dtype) for x in self.weights]
        return moved

    def _add(self, name, tangents):
        for x in tangents:
            if bool(x.any()):
                self.names.append(name)
                self.tangents.append(x)

    def losses(self, z, which):
        """[N, LOSSES] of the worlds ``which`` [N] moved by z [N, D]."""
        s = self.scene
        q, v = s.state.body_q[which], s.state.body_v[which]
        control = None if s.control is None else s.control[:, which].transpose(0, 1)
        values = {n: x[which] for n, x in s.parameters.items()}
        place = torch.zeros_like(q[..., :3])
        turn = torch.zeros_like(place)
        for d, (name, tangent) in enumerate(zip(self.names, self.tangents, strict=True)):
            move = z[:, d].reshape(-1, *[1] * (tangent.dim() - 1)) * tangent[which]
            if name == "place":
                place = place + move
            elif name == "turn":
                turn = turn + move
            elif name == "body_v":
                v = v + move
            elif name == "control":
                control = control + move
            else:
                values[name] = values[name] + move
        unit = torch.cat([0.5 * turn, torch.ones_like(turn[..., :1])], -1)
        q = torch.cat([q[..., :3] + place, product(unit / unit.norm(dim=-1, keepdim=True), q[..., 3:])], -1)
        control = None if control is None else control.transpose(0, 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SimulationWarning)
            t = s.simulator.rollout(State(q, v), control, values, steps=s.steps)
        wq, wv, wp = self.weights
        bodies = len(wq)
        # less the start, of which rounding would drown the rest
        return torch.stack(
            [
                ((t.final.body_q[:, :bodies] - s.state.body_q[which][:, :bodies]) * wq).sum((1, 2)),
                (t.final.body_v[:, :bodies] * wv).sum((1, 2)),
                ((t.body_q[1:, :, :bodies] - s.state.body_q[which][:, :bodies]) * wp).mean(0).sum((1, 2)),
            ],
            1,
        )

    def exact(self):
        """Derivatives by the implicit adjoint, [W, LOSSES, D]."""
        which = torch.arange(WORLDS).repeat_interleave(LOSSES)
        z = torch.zeros((len(which), self.size), dtype=self.scene.state.body_q.dtype, requires_grad=True)
        seeds = torch.eye(LOSSES, dtype=z.dtype).repeat(WORLDS, 1)
        (grad,) = torch.autograd.grad(self.losses(z, which), z, seeds)
        return grad.view(WORLDS, LOSSES, self.size)

    def shifted(self, steps):
        """Losses with each direction alone moved by each of ``steps``, [len(steps), W, LOSSES, D]."""
        one = torch.eye(self.size, dtype=torch.float64).repeat(WORLDS, 1)
        z = torch.cat([one * e for e in steps])
        which = torch.arange(WORLDS).repeat_interleave(self.size).repeat(len(steps))
        with torch.no_grad():
            return self.losses(z, which).view(len(steps), WORLDS, self.size, LOSSES).transpose(2, 3)

    def differences(self):
        """Derivatives, their estimated error, and those from above and below at the least steps; [W, LOSSES, D].

        Each is the step at which three extrapolations agree best; the exact derivative has no say in it.
        """
        values = self.shifted([s * e for e in EPS for s in (1.0, -1.0)])
        with torch.no_grad():
            here = self.losses(torch.zeros((WORLDS, self.size), dtype=torch.float64), torch.arange(WORLDS))[..., None]
        central = [(values[2 * k] - values[2 * k + 1]) / (2 * e) for k, e in enumerate(EPS)]
        above = [(values[2 * k] - here) / e for k, e in enumerate(EPS)]
        below = [(here - values[2 * k + 1]) / e for k, e in enumerate(EPS)]
        noise = NOISE * (values.abs().amax((0, 3)) + 0.1)[..., None]
        best, error = settle(central, 16.0, noise)
        return best, error, settle(above, 4.0, noise), settle(below, 4.0, noise)


def settle(values, factor, noise):
    """Extrapolations of a sequence at steps shrinking by 4, where three of them agree best, and how well.

    Where three at lesser steps agree with each other on something else, a kink lies between, and they have it.
    """
    better = torch.stack([(factor * fine - coarse) / (factor - 1) for coarse, fine in itertools.pairwise(values)])
    apart = (better[1:] - better[:-1]).abs()
    rounding = torch.tensor(EPS[2:-1], dtype=torch.float64).reshape(-1, 1, 1, 1)
    errors, middle = torch.maximum(apart[1:], apart[:-1]) + noise / rounding, better[1:-1]
    best = errors.argmin(0, keepdim=True)
    value, error = middle.gather(0, best)[0], errors.amin(0)
    for k in range(len(errors)):
        other = (k > best[0]) & ((middle[k] - value).abs() > 3.0 * (error + errors[k]))
        value, error = torch.where(other, middle[k], value), torch.where(other, errors[k], error)
    return value, error


@dataclass
class Verdict:
    """Counts over all derivatives of a scene, and a line for each that is wrong."""

    checked: int = 0
    unsettled: int = 0
    kinks: int = 0
    single: int = 0
    ill: int = 0
    wrong: tuple = ()


def scale_of(exact, names):
    """Scale of an error, [W, LOSSES, D]: the greatest derivative by the same input, and a 1e-5th of all."""
    scale = torch.zeros_like(exact)
    for name in set(names):
        at = torch.tensor([n == name for n in names])
        scale[..., at] = exact[..., at].abs().amax(-1, keepdim=True)
    return scale + 1e-5 * exact.abs().amax(-1, keepdim=True)


def check(family, seed):
    """A scene and the verdict on it."""
    scene = draw(family, seed)
    moved = Moved(scene)
    exact = moved.exact()
    best, error, (up, up_error), (down, down_error) = moved.differences()
    scale = scale_of(best, moved.names)
    settled = error < SETTLED * scale
    off = (exact - best).abs()
    right = off <= RIGHT * scale + 5.0 * error
    # a kink here: the derivative is that of one side
    sided = torch.minimum(
        (exact - up).abs() / (1e-4 * scale + 5 * up_error), (exact - down).abs() / (1e-4 * scale + 5 * down_error)
    )
    kink = ~right & (sided < 1.0) & ((up - down).abs() > 10 * (up_error + down_error))
    bad = ~(right & settled) & ~kink & settled
    lines = []
    for w, k, d in torch.nonzero(bad).tolist():
        lines.append(
            f"world {w}, loss {k}, {moved.names[d]} ({d}): exact {exact[w, k, d]:.9e}, differences "
            f"{best[w, k, d]:.9e} +- {error[w, k, d]:.1e}, above {up[w, k, d]:.6e} below {down[w, k, d]:.6e}, "
            f"scale {scale[w, k, d]:.2e}"
        )
    verdict = Verdict(exact.numel(), int((~settled & ~kink).sum()), int(kink.sum()), wrong=tuple(lines))
    compare_single(verdict, moved, exact, scale)
    if family in DENSE:
        compare_solvers(verdict, moved, exact, scale)
    return scene, verdict


def compare_single(verdict, moved, exact, scale):
    """Gradients of single precision, which may differ by what rounding of the state does to those of either precision.

    A derivative that is small beside those by other inputs is a difference of velocities that are much larger.
    """
    scale = scale + 1e-2 * exact.abs().amax(-1, keepdim=True)
    rounded = single(moved.scene)
    got = moved.of(rounded).exact().double()
    gen = torch.Generator().manual_seed(moved.scene.seed)
    spread = torch.zeros_like(exact)
    for scene, wanted in ((moved.scene, exact), (rounded, got)):
        for _ in range(2):
            q, v = scene.state.body_q, scene.state.body_v
            q = q + 1e-7 * torch.randn(q.shape, generator=gen, dtype=torch.float64).to(q)
            v = v + 1e-6 * torch.randn(v.shape, generator=gen, dtype=torch.float64).to(v)
            there = moved.of(replace(scene, state=State(q, v))).exact().double()
            spread = torch.maximum(spread, (there - wanted).abs())
    off, ill = (got - exact).abs(), spread > 1e-2 * scale
    verdict.single, verdict.ill = exact.numel(), int(ill.sum())
    report(verdict, "float32", moved, off, ~ill & (off > 2e-2 * scale + 10.0 * spread), exact, scale)


def compare_solvers(verdict, moved, exact, scale):
    """Gradients where bodies far away make the scene one for the solver of islands."""
    off = (moved.of(beside(moved.scene)).exact() - exact).abs()
    report(verdict, "islands", moved, off, off > 1e-7 * scale + ABSOLUTE, exact, scale)


def report(verdict, what, moved, off, bad, exact, scale):
    """Add a line for some of those that are wrong."""
    for w, k, d in torch.nonzero(bad).tolist()[:4]:
        verdict.wrong += (
            f"{what}: world {w}, loss {k}, {moved.names[d]} ({d}): off by {off[w, k, d]:.2e} from "
            f"{exact[w, k, d]:.6e}, scale {scale[w, k, d]:.2e}",
        )


def main(family, *seeds):
    """Print the verdict on some scenes."""
    for seed in map(int, seeds):
        began = time.perf_counter()
        scene, v = check(family, seed)
        print(scene)
        print(
            f"  {v.checked} derivatives, {v.unsettled} unsettled, {v.kinks} kinks, {v.ill} of {v.single} "
            f"ill-conditioned in float32, {len(v.wrong)} wrong, {time.perf_counter() - began:.1f} s"
        )
        for line in v.wrong[:12]:
            print("    " + line)


if __name__ == "__main__":
    assert sys.argv[1] in FAMILIES, FAMILIES
    main(*sys.argv[1:])

"""Gradient backends side by side on one objective, with what is needed to judge them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..capabilities import has_scene, landscape_axes
from ..comparison.advice import Advice, advise
from ..comparison.budget import Budget, budget_of
from ..comparison.cost_slice import Slice, cost_along_slice
from ..comparison.landscape import Landscape, cost_over_plane
from ..comparison.rollouts import Rollout, rollouts_of
from ..comparison.studies.all import Studies, study
from ..comparison.studies.plan import plan_for
from ..comparison.verdicts import Verdict, verdict
from ..files.output_folder import LAST, OutputError, output_folder
from ..files.results import versions, write_json
from ..files.run_folder import scene_entry
from ..gradients import (
    Backend,
    CentralDifferences,
    Comparison,
    GradientError,
    Objective,
    compare_backends,
    make_backend,
)
from ..gradients.core.checks import check_count
from ..gradients.core.objective import evaluate, evaluate_with_gradient, objective_name
from ..plain import plain_numbers
from ..report.table import comparison_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from ..sim import Recording

__all__ = ["BACKENDS", "CompareResult", "compare"]

BACKENDS = ("autodiff", "smoothing", "surrogate")
"""What is compared where nothing else is asked for; and ``SOFTENED`` where the objective says how to soften it."""

SOFTENED = "softened"

_REFERENCE_ERROR = 0.05  # standard error of the reference to aim for, relative to its norm
_REFERENCE_STEP = 0.75  # of scale: less noise than at the usual 0.5, for a bias of half a percent on a jump
_SCALE = 0.02
_LONG = 60.0  # seconds after which the display says how long the reference takes
_LEAST_ROLLOUTS, _LEAST_SAMPLES = 100, 16


@dataclass(frozen=True)
class CompareResult:
    """What ``compare`` found: numbers, verdicts, and the means to show and to keep them."""

    objective: Objective
    theta: torch.Tensor
    """Where the gradients were taken [parameters]."""
    names: tuple[str, ...]
    """Names of the parameters."""
    comparison: Comparison
    """The reference and one row per backend."""
    verdicts: dict[str, Verdict]
    """How far each backend can be believed, in words."""
    slice: Slice
    """The cost along the descent direction of the reference."""
    settings: dict[str, Any]
    """What it was computed with: seed, samples, scale, ..."""
    recording: Recording | None = None
    """The rollout at theta; None where the objective has no ``record``."""
    landscape: Landscape | None = None
    """The cost over two parameters; None where there are none to show."""
    studies: Studies | None = None
    """What the report shows beyond the comparison; None where it was not asked for."""
    rollouts: tuple[Rollout, ...] = ()
    """Recorded rollouts at theta and at the end of the descents; none where the objective has no ``record``."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds of each stage."""

    @property
    def title(self) -> str:
        """Name of the objective, with the options that were given for it."""
        options = self.settings.get("options") or {}
        given = ", ".join(f"{key} = {value}" for key, value in options.items())
        return objective_name(self.objective) + (f" ({given})" if given else "")

    @property
    def unit(self) -> str:
        """Unit of theta, where the objective names one."""
        return str(getattr(self.objective, "parameter_unit", ""))

    @property
    def noise(self) -> str:
        """The noise over which the reference averages, in words."""
        scale = self.settings["scale"]
        sizes = sorted(set(scale)) if isinstance(scale, (list, tuple)) else [scale]
        text = f"{sizes[0]:g}" if len(sizes) == 1 else f"{sizes[0]:g} to {sizes[-1]:g}"
        return f"Gaussian noise on theta (standard deviation {text}{' ' + self.unit if self.unit else ''})"

    def table(self) -> Table:
        """A ``rich`` table, one row per backend; print it with ``rich.print``."""
        return comparison_table(self.comparison, title=f"Gradient of {self.title}", noise=self.noise)

    def figure(self, kind: str = "compare") -> Figure:
        """A matplotlib figure: ``"compare"`` (all in one), or one of the other ``figure_kinds``."""
        from ..report.figures.all import draw

        return draw(self, kind)

    @cached_property
    def figure_kinds(self) -> tuple[str, ...]:
        """The kinds that ``figure`` knows for this objective."""
        from ..report.figures.all import kinds

        return kinds(self)

    @cached_property
    def omitted(self) -> dict[str, str]:
        """Figures that there are not, by kind, and why."""
        from ..report.figures.all import omitted

        return omitted(self)

    @cached_property
    def advice(self) -> Advice:
        """Which backend to use at theta, and why, by the rules of ``carom.report.advice``."""
        if self.studies is None:
            return advise(self.comparison, self.verdicts)
        return advise(
            self.comparison,
            self.verdicts,
            squared_errors=self.studies.squared_errors,
            diagnosis=self.studies.verdicts,
        )

    def _repr_html_(self) -> str:
        """Summary, table and main figure in a notebook."""
        from ..report.page import render_fragment

        return render_fragment(self)

    def as_dict(self) -> dict[str, Any]:
        """All numbers, as ``results.json`` has them; whatever depends on the clock is under ``timings``."""
        rows = [self.comparison.reference.as_dict(), *(row.as_dict() for row in self.comparison.rows)]
        seconds = {row["name"]: row.pop("seconds") for row in rows}
        found = {name: {"label": v.label, "text": v.text} for name, v in self.verdicts.items()}
        return {
            "format": 1,
            "task": {
                "name": objective_name(self.objective),
                "description": getattr(self.objective, "description", None),
                "parameter_names": self.names,
                "unit": self.unit,
            },
            "settings": self.settings,
            "theta": self.theta.tolist(),
            "reference": rows[0],
            "backends": [{**row, "verdict": found.get(row["name"])} for row in rows[1:]],
            "advice": self.advice.as_dict(),
            "slice": self.slice.as_dict(),
            "landscape": None if self.landscape is None else self.landscape.as_dict(),
            "studies": None if self.studies is None else self.studies.as_dict(),
            "recordings": [rollout.as_dict() for rollout in self.rollouts],
            "scene": scene_entry(self.objective),
            "figures": self.figure_kinds,
            "omitted": self.omitted,
            "versions": versions(),
            "timings": {"estimates": seconds, **self.timings},
        }

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``report.html``, ``results.json`` and the figures (PNG and SVG) to a folder; returns its path.

        The folder is new or empty. The page holds everything that it shows, and lists what it does not show.

        Raises:
            OutputError: The folder cannot be written, or exists and is not empty; with ``overwrite``, it holds
                something that carom did not write.
        """
        with output_folder(Path(folder), overwrite=overwrite, ours=FILES) as staging:
            self.write(staging)
        return Path(folder)

    def write(self, folder: Path, *, page: bool = True, progress: Callable[[str], None] | None = None) -> None:
        """Write the files into a folder that exists, ``report.html`` only if ``page``."""
        say = progress or (lambda stage: None)
        from ..report.figures.all import MAIN, save_figure
        from ..report.page import render_page

        try:
            for kind in self.figure_kinds:
                say(f"drawing {kind}")
                save_figure(self.figure(kind), folder / kind)
            for rollout in self.rollouts:
                rollout.save(folder)
            if page:
                pictures = {kind: folder / kind for kind in self.figure_kinds if kind != MAIN}
                (folder / PAGE).write_text(render_page(self, pictures), encoding="utf-8")
            write_json(folder / LAST, self.as_dict())
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from None


PAGE = "report.html"
_KINDS = (
    "compare", "scene", "bodies", "slice", "landscape", "field", "parameters", "singles", "samples", "scale", "horizon",
    "stiffness", "growth", "curves",
)  # fmt: skip
FILES = (
    LAST,
    PAGE,
    "recording-*.npz",
    *(f"{kind}.{ending}" for kind in _KINDS for ending in ("png", "svg")),
)
"""Names and patterns of all files that a comparison may write."""


@plain_numbers
def compare(
    objective: Objective,
    theta: torch.Tensor | None = None,
    *,
    backends: Sequence[str] | Mapping[str, Backend] | None = None,
    scale: float | Sequence[float] | None = None,
    samples: int = 256,
    reference_samples: int | None = None,
    rollouts: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    studies: bool | Collection[str] = False,
    progress: Callable[[str], None] | None = None,
) -> CompareResult:
    """Take the gradient of ``objective`` at ``theta`` by several backends and hold each against a reference.

    The reference is the gradient of the cost averaged over Gaussian noise of standard deviation ``scale``, by central
    differences with common random numbers: values only, and no formula in common with any backend.

    Args:
        objective: A task of ``carom.envs``, or any function of theta [batch, parameters] -> [batch].
        theta: Where to differentiate [parameters]; by default ``objective.initial_parameters()``.
        backends: Names (see ``carom.gradients.backend_names``), or a mapping from names of your own to backends. By
            default autodiff, smoothing and surrogate, and softened where the objective offers softened contacts.
        scale: Standard deviation of the noise, one number or one per parameter; by default the objective's
            ``smoothing_scale``, else 0.02.
        samples: Rollouts for each backend that samples.
        reference_samples: Noise draws of the reference, each of 2 * parameters + 1 rollouts; by default as many as a
            pilot says are needed for a standard error of 5 % of the gradient, within ``rollouts``.
        rollouts: Rollouts of the reference, at most; those of slice, landscape and studies go with them. By default
            12,000; 3,000, 750 or 187 where the objective's ``rollout_work`` (steps times bodies of a rollout) is beyond
            2,500, 10,000 or 40,000. No time is measured for it.
        seed: Of all randomness; the same seed gives the same numbers on the same machine, however busy it is.
        settings: Further entries for ``results.json``.
        studies: Whether to make also what a whole report shows: arrows over the plane, single samples, bias and
            variance by samples, noise, horizon and stiffness, growth by step, and descents. Takes a few times as long.
            Or the names of some of them: field, singles, samples, scale, horizon, stiffness, growth, bodies, curves.
        progress: Called with the name of each stage before it begins.

    Raises:
        GradientError: An unknown backend, a bad option, or a theta or cost that is not finite.
    """
    say = progress or (lambda stage: None)
    began = time.perf_counter()
    timings: dict[str, float] = {}
    theta = _theta(objective, theta)
    if scale is None:
        scale = getattr(objective, "smoothing_scale", _SCALE)
    scale = scale.tolist() if isinstance(scale, torch.Tensor) else scale
    if backends is None:
        offers = getattr(objective, "softening_width", None) and callable(getattr(objective, "softened", None))
        backends = (*BACKENDS, SOFTENED) if offers else BACKENDS
    if not isinstance(backends, Mapping):
        backends = {name: make_backend(name, scale=scale, samples=samples) for name in backends}
    if not backends:
        raise GradientError("no backend to compare: name at least one, e.g. autodiff")
    say("compiling kernels (about a minute the first time)")
    _warm_up(objective, theta)
    for backend in backends.values():
        if warm_up := getattr(backend, "warm_up", None):
            with suppress(GradientError):  # a backend that does not apply here gets a row that says so
                warm_up(objective, theta)
    timings["compile"] = time.perf_counter() - began

    scales = torch.as_tensor(scale, dtype=torch.float64, device="cpu").expand(len(theta))
    if rollouts is None:
        budget = budget_of(objective)
    else:
        check_count("rollouts", rollouts, _LEAST_ROLLOUTS, " (so that slice and reference have points enough)")
        budget = Budget(rollouts)
    if reference_samples is None:
        say("how many rollouts the reference needs")
        reference_samples, pace = _enough_samples(objective, theta, scale, seed, budget)
        expected = pace * reference_samples
        if expected > _LONG:
            say(f"the reference takes about {expected / 60.0:.1f} min: {budget.rollouts} rollouts; give fewer for less")
    reference = CentralDifferences(scale=scale, samples=reference_samples, step=_REFERENCE_STEP)

    def report(name: str, done: int, total: int) -> None:
        if name != "done":
            say(f"gradient {done + 1} of {total}: {name}")

    comparison = compare_backends(objective, theta, backends, reference, seed=seed, progress=report)
    names = parameter_names(objective, len(theta))
    rounding = 64.0 * torch.finfo(theta.dtype).eps
    verdicts = {row.name: verdict(row, comparison.reference, names, rounding=rounding) for row in comparison.rows}

    say("cost along a slice")
    clock = time.perf_counter()
    target = torch.tensor(comparison.reference.gradient, dtype=torch.float64, device="cpu")
    slice_ = cost_along_slice(objective, theta, target, scales, seed=seed, **budget.slice)
    timings["slice"] = time.perf_counter() - clock
    recording = objective.record(theta[None]) if has_scene(objective) else None  # type: ignore[attr-defined]
    axes = landscape_axes(objective)
    if axes is None and studies and len(theta) > 1:
        axes = _steepest(target * scales)
    landscape = None
    if axes is not None:
        say("cost over a plane")
        clock = time.perf_counter()
        landscape = cost_over_plane(objective, theta, axes, scales, seed=seed, **budget.landscape)
        timings["landscape"] = time.perf_counter() - clock
    found = None
    if studies:
        found = study(
            objective,
            theta,
            backends,
            comparison,
            scale=scales,
            axes=axes,
            samples=samples,
            plan=plan_for(budget, samples, len(theta)),
            seed=seed,
            progress=say,
            only=None if studies is True else studies,
        )
        timings.update({f"study {name}": seconds for name, seconds in found.seconds.items()})
    gradients = {row.name: row.gradient for row in comparison.rows if row.gradient is not None}
    rollouts_ = rollouts_of(objective, theta, gradients, {} if found is None else found.curves, recording)
    timings["total"] = time.perf_counter() - began
    return CompareResult(
        objective=objective,
        theta=theta.detach().cpu(),
        names=names,
        comparison=comparison,
        verdicts=verdicts,
        slice=slice_,
        recording=recording,
        landscape=landscape,
        studies=found,
        rollouts=rollouts_,
        settings={
            "seed": seed,
            "samples": samples,
            "reference_samples": reference_samples,
            "rollouts": budget.rollouts,
            "scale": scale,
            "backends": {name: repr(backend) for name, backend in backends.items()},
            "device": str(theta.device),
            "dtype": str(theta.dtype).removeprefix("torch."),
            **(settings or {}),
        },
        timings=timings,
    )


def parameter_names(objective: object, count: int) -> tuple[str, ...]:
    """Names of the parameters: the objective's own, else theta0, theta1, ..."""
    names = getattr(objective, "parameter_names", None)
    return tuple(names) if names is not None and len(names) == count else tuple(f"theta{i}" for i in range(count))


def _theta(objective: object, theta: torch.Tensor | None) -> torch.Tensor:
    if theta is None:
        start = getattr(objective, "initial_parameters", None)
        if start is None:
            raise GradientError(
                f"objective {objective_name(objective)!r} has no initial_parameters(): say where to differentiate, "
                "compare(objective, theta)"
            )
        theta = start()
    return theta.detach()  # type: ignore[union-attr]


def _enough_samples(
    objective: Objective, theta: torch.Tensor, scale: Any, seed: int, budget: Budget
) -> tuple[int, float]:
    """Noise draws that bring the reference's standard error down to its target, as far as the budget goes.

    Returns:
        The draws, and the seconds that each has taken so far: for the display alone.
    """
    width = 2 * len(theta) + 1
    pilot_samples = max(_LEAST_SAMPLES, budget.pilot // width // 2 * 2)
    pilot = CentralDifferences(scale=scale, samples=pilot_samples, step=_REFERENCE_STEP).estimate(
        objective, theta, seed=seed
    )
    most = max(pilot_samples, budget.rollouts // width // 2 * 2)
    norm, error = float(pilot.gradient.norm()), float(pilot.standard_error.norm())  # type: ignore[union-attr]
    pace = pilot.seconds / pilot_samples
    if error > 0.0 and norm == 0.0:
        return most, pace
    wanted = pilot_samples * (error / (_REFERENCE_ERROR * norm)) ** 2 if error > 0.0 else 0.0
    return int(min(most, max(pilot_samples, wanted))) // 2 * 2, pace


def _steepest(slope: torch.Tensor) -> tuple[int, int]:
    """The two parameters along which the cost changes most, in their own order."""
    first, second = sorted(slope.abs().topk(2).indices.tolist())
    return first, second


def _warm_up(objective: Objective, theta: torch.Tensor) -> None:
    """Run everything once, so that no backend's time holds the compiler's."""
    evaluate(objective, theta[None])
    with suppress(GradientError):  # what has no exact gradient says so in its row
        evaluate_with_gradient(objective, theta[None])

"""Captions of the figures: title, how to read it, and a description for those who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .figures.scene import is_crowded

if TYPE_CHECKING:
    from ..comparison.result import ComparisonResult

__all__ = ["CAPTIONS", "Caption", "describe"]


@dataclass(frozen=True)
class Caption:
    """Texts of one figure."""

    title: str
    text: str
    """Explanation of how to read the figure."""
    alt: str
    """Description of the picture for those who cannot see it."""


def describe(result: ComparisonResult, kind: str) -> Caption:
    """Caption of the figure of this kind."""
    return CAPTIONS[kind](result)


def _slice(result: ComparisonResult) -> Caption:
    return Caption(
        "Cost along a line.",
        f"The cost {result.slice.direction_name}, theta in the middle. Grey: as it is. Dashed black: averaged over "
        f"{result.noise}, with two standard errors. A line through theta is the slope that a backend gives; a right "
        "one touches the curve whose gradient it is: the dashed one for backends that average, the grey one for exact "
        "gradients. A grey curve that is rough at a finer scale than the noise makes exact slopes useless.",
        f"Curves of the hard and the smoothed cost along a line, and {len(_shown(result))} straight lines: the slopes "
        f"by {_listed(_shown(result))}.",
    )


def _landscape(result: ComparisonResult) -> Caption:
    assert result.landscape is not None
    x, y = (result.names[i] for i in result.landscape.axes)
    return Caption(
        "Cost over two parameters.",
        f"Left as it is, right averaged over {result.noise}, in the same colours; contours at the same costs. The "
        "arrows point downhill, on one scale. They should stand square to the contours of the map whose gradient they "
        "are. Steps and plateaus of the left map are what an exact gradient cannot see across.",
        f"Two maps of the cost over {x} and {y}, with an arrow at theta for each backend and the reference.",
    )


def _parameters(result: ComparisonResult) -> Caption:
    return Caption(
        "Gradient by parameter.",
        "Black line and grey band: the reference and its 95 % interval. Marks: the backends, with theirs "
        "where they have one. A mark whose bar misses the grey band differs by more than chance; a mark "
        "at exactly zero where the band is not is blind. Numbers at the edge are out of the picture.",
        f"Derivatives with respect to {len(result.names)} parameters by {_listed(_shown(result))}, with error bars.",
    )


def _scene(result: ComparisonResult) -> Caption:
    assert result.recording is not None
    crowded = is_crowded(result.recording)
    before = "before and after the rollout at theta" if crowded else "at the end of the rollout at theta, start dashed"
    return Caption(
        "Gradients on the scene.",
        f"From above, {before}. At each way-point an arrow per backend says how a small step downhill would move it, "
        "all on one scale; the broad grey one is the reference. Arrows that part from it lead elsewhere; a square is "
        "an exact zero; what is marked shortened would leave the picture.",
        f"The scene from above, with arrows at the way-points for the reference and {_listed(_shown(result))}.",
    )


def _bodies(result: ComparisonResult) -> Caption:
    assert result.studies is not None
    assert result.studies.downhill_steps is not None
    return Caption(
        "Displacement of the bodies by a step downhill.",
        "At each body, where it ends: the arrow says how much farther it would end after a step of one noise scale "
        "down each gradient, from rollouts of their own, all on one scale. Dotted circles: how far steps of that "
        "length "
        "in random directions move it. Arrows inside the circles of a pile are chance; arrows towards the goal that "
        "leave them are what a gradient is for.",
        f"The bodies from above at the end, with arrows of displacement by "
        f"{_listed(list(result.studies.downhill_steps.moves))}.",
    )


def _gradient_field(result: ComparisonResult) -> Caption:
    assert result.studies is not None
    assert result.studies.gradient_field is not None
    found = result.studies.gradient_field
    each = ", ".join(f"{name} {count}" for name, count in found.evaluations.items())
    return Caption(
        "Descent directions over the plane.",
        "One panel a backend: where it would go from each place, over the cost whose gradient it is, hard for exact "
        f"gradients and averaged for those that sample. Rollouts of one arrow: {each}. Arrows square to the contours "
        "are right; a panel whose arrows disagree with their neighbours shows noise or roughness; squares are exact "
        "zeros, places that a descent never leaves. Lengths are relative to the median of a panel and cut off at the "
        "distance between two arrows." + _notes(found.notes),
        f"Maps of the cost with arrows of descent, a panel each for {_listed(list(found.gradients))}.",
    )


def _single_samples(result: ComparisonResult) -> Caption:
    assert result.studies is not None
    assert result.studies.single_samples is not None
    found = result.studies.single_samples
    tails = ", ".join(f"{name} {found.kurtosis(name):.2g}" for name, x in found.samples.items() if float(x.std()) > 0.0)
    zeros = ", ".join(f"{name} {found.zero_share(name):.0%}" for name in found.samples)
    return Caption(
        "Single-sample gradients.",
        "The terms of an average over noise: a gradient per perturbed theta, along the direction of the reference. "
        "Zeroth order needs values only; the others are gradients at the perturbed points, whose mean is the "
        "first-order estimate. The counts are on a logarithmic axis. A spike at zero (hatched) is noise that saw no "
        "contact; long "
        "tails make a mean slow and its error bar a guess; a mean off the dashed reference by more than its spread "
        f"allows is a bias, as from jumps. Exactly zero: {zeros}. Kurtosis (3 for a normal distribution): {tails}."
        + _notes(found.notes),
        f"Histograms of single-sample gradients: {_listed(list(found.samples))}.",
    )


_BIAS = (
    "Left the distance of the mean over seeds from the right gradient; bars are what chance adds, so that a bar that "
    "reaches down means that no bias was seen. Right the variance of one estimate; its bars are one standard error. "
    "Backends without noise have no variance. Both are relative to the length of the right gradient. "
)


def _samples(result: ComparisonResult) -> Caption:
    return _swept(
        result,
        "samples",
        "Bias and variance by samples.",
        "The thin lines fall as 1/samples, the law of independent samples; the power that was found is in the legend. "
        "A fit to the samples may fall otherwise.",
    )


def _scale(result: ComparisonResult) -> Caption:
    return _swept(
        result,
        "scale",
        "Bias and variance by noise scale.",
        "All are held against the reference at its own scale, so a bias to either side is the price of averaging over "
        "another neighbourhood. The thin line falls as 1/scale^2, the law of the zeroth order where the cost is rough "
        "or jumps within the noise; where it is smooth at that scale, antithetic pairs make the variance level, and "
        "where curvature counts it rises.",
    )


def _horizon(result: ComparisonResult) -> Caption:
    return _swept(
        result,
        "horizon",
        "Bias and variance by horizon.",
        "The cost is taken after so many steps, with a reference for each. There is no general law: where disturbances "
        "grow, averages of exact gradients get a variance that grows exponentially, and the zeroth order does not.",
    )


def _stiffness(result: ComparisonResult) -> Caption:
    return _swept(
        result,
        "stiffness",
        "Bias and variance by contact stiffness.",
        "The same task with contacts of another stiffness, with a reference for each. The thin line rises as "
        "stiffness^2, the law of averaged exact gradients through an explicit spring; level points mean that implicit "
        "contact, or values alone, do not depend on it.",
    )


def _swept(result: ComparisonResult, name: str, title: str, text: str) -> Caption:
    assert result.studies is not None
    found = result.studies.sweeps[name]
    seeds = max((p.repeats for row in found.points.values() for p in row if p is not None), default=0)
    return Caption(
        title,
        f"{_BIAS}{text} Measured over {seeds} seeds.{_notes(found.notes)}",
        f"Two panels over {found.label} from {found.values[0]:.3g} to {found.values[-1]:.3g}: bias and variance of "
        f"{_listed(list(found.points))}.",
    )


def _growth(result: ComparisonResult) -> Caption:
    assert result.studies is not None
    assert result.studies.diagnosis is not None
    found = result.studies.diagnosis
    verdicts = "; ".join(f"{name}: {text}" for name, text in found.verdicts.items())
    return Caption(
        "The exact gradient, step by step.",
        "Left the length of the derivative of the cost with respect to what enters at each step: where it climbs "
        "towards the start, early steps are multiplied by all that follows; where it is zero, nothing that is done "
        "there "
        "reaches the cost. Right the leading singular values of the product of the last steps' Jacobians: lines that "
        "rise steadily are chaos, and above the red line (a factor of 100) exact gradients are usually overwhelmed; "
        "lines that fall are a state that forgets. Short horizons mix metres with metres per second: read the ends. "
        f"Verdicts of the diagnosis: {verdicts}." + _notes(found.notes),
        "Curves over time: the norm of the exact gradient by step, and the growth of disturbances by horizon.",
    )


def _trust(result: ComparisonResult) -> Caption:
    return Caption(
        "Trusted step lengths.",
        "Lengths of a step down each gradient for which the predicted decrease is right within 25 %, in noise scales: "
        "left of the cost as it is, right of its average over the noise. A band that ends early says that the cost is "
        "not straight beyond; a band of the average alone says that the cost is rough. Lengths from 1/128 to 32 were "
        "tried; an arrow says that the band goes on.",
        f"Two panels with bars of trusted step lengths by {_listed(list(result.trust))}.",
    )


def _curves(result: ComparisonResult) -> Caption:
    race = result.race
    assert race is not None
    ended = [
        f"{entry.name} stopped {curve.stopped}"
        for entry in race.entries
        for curve in entry.curves
        if curve.stopped and "no more are made" not in curve.stopped
    ]
    return Caption(
        "Race at equal work.",
        f"{race.optimizer} with each gradient from {race.starts} starts around theta, {race.budget:.0f} rollouts each. "
        "Samples a step and rate were chosen for each backend by the same short races. Left the least cost so far, as "
        "it is: lines are means over the starts, bands their range. Right the rollouts that each takes for the same "
        "cost, as a multiple of the best, with 95 % intervals over the starts; within the grey band two are equal. "
        "Core seconds are in results.json, since they change from run to run." + _notes(ended),
        f"Curves of cost against rollouts, and factors of work, for {_listed([entry.name for entry in race.entries])}.",
    )


def _notes(notes: Iterable[str]) -> str:
    """Sentence on the missing parts."""
    said = list(dict.fromkeys(notes))
    return f" Not there: {'; '.join(said)}." if said else ""


def _shown(result: ComparisonResult) -> list[str]:
    return [row.name for row in result.comparison.rows if row.gradient is not None]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names) or "no backend"


CAPTIONS: dict[str, Callable[[ComparisonResult], Caption]] = {
    "slice": _slice,
    "landscape": _landscape,
    "parameters": _parameters,
    "scene": _scene,
    "bodies": _bodies,
    "field": _gradient_field,
    "singles": _single_samples,
    "samples": _samples,
    "scale": _scale,
    "horizon": _horizon,
    "stiffness": _stiffness,
    "growth": _growth,
    "trust": _trust,
    "curves": _curves,
}
"""Functions that write captions, by the kind of figure."""

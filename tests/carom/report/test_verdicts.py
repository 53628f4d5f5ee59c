"""The rules that turn numbers into words, on rows made by hand."""

from __future__ import annotations

import math

import pytest

from carom.comparison.verdicts import verdict
from carom.gradients import ComparisonRow

REFERENCE = ComparisonRow(name="reference", gradient=(3.0, 4.0), standard_error=(0.1, 0.1))
NAMES = ("x", "y")


def made(
    gradient: tuple[float, ...], standard_error: tuple[float, ...] | None = None, **diagnostics: object
) -> ComparisonRow:
    difference = math.dist(gradient, REFERENCE.gradient or ())
    return ComparisonRow(
        name="made",
        gradient=gradient,
        standard_error=standard_error,
        relative_error=difference / 5.0,
        evaluations=256,
        diagnostics=dict(diagnostics),
    )


@pytest.mark.parametrize(
    ("row", "label", "words"),
    [
        (ComparisonRow(name="made", error="too few samples"), "failed", "too few samples"),
        (made((math.nan, 4.0)), "not finite", "in x"),
        (made((0.0, 4.0)), "blind", "in x"),
        (made((0.0, 0.0)), "blind", "every parameter"),
        (made((0.0, 4.0), (0.0, 0.1)), "blind", "1 of 2"),
        (made((0.01, 0.2)), "nearly blind", "4.0%"),
        (made((3.25, 4.0)), "agrees", "within 3.2 standard errors"),
        (made((3.35, 4.0)), "differs", "cost as it is"),
        (made((3.04, 4.0), (1e-9, 1e-9)), "agrees", "standard errors"),
        (made((3.6, 4.0), (0.2, 0.2)), "agrees", "error bar"),
        (made((3.9, 4.0), (0.2, 0.2)), "differs", "more than chance"),
        (made((3.0, 4.5), (1.5, 1.5)), "noisy", "more samples"),
        (made((9.0, 4.5), (0.2, 0.2), zero_share=0.9), "noisy", "26 of its 256"),
        (made((3.0, 4.5), (9.0, 9.0), gradient_spread=0, held_out_r2=0.3), "noisy", "30%"),
        (made((3.0, 4.5), (9.0, 9.0), gradient_spread=0, held_out_r2=0.9), "differs", "90%"),
    ],
)
def test_rules(row: ComparisonRow, label: str, words: str) -> None:
    found = verdict(row, REFERENCE, NAMES)
    assert found.label == label
    assert words in found.text


def test_rounding_and_a_hundredth_never_count() -> None:
    exact = ComparisonRow(name="reference", gradient=(3.0, 4.0), standard_error=(0.0, 0.0))
    assert verdict(made((3.0 + 1e-11, 4.0)), exact, NAMES).label == "agrees"
    assert verdict(made((3.04, 4.0)), exact, NAMES).label == "agrees"
    assert verdict(made((3.06, 4.0)), exact, NAMES).label == "differs"


def test_a_zero_where_the_reference_may_be_zero_is_not_blind() -> None:
    unsure = ComparisonRow(name="reference", gradient=(0.2, 4.0), standard_error=(0.1, 0.1))
    assert verdict(made((0.0, 4.0)), unsure, NAMES).label == "agrees"

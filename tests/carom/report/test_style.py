"""Looks of backends in figures: legible on white, told apart in colour and by marker, whatever their names are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from carom.gradients import backend_names
from carom.render.style import CURVE, REFERENCE, looks

OWN = backend_names()[:9]
NAMES = [*OWN, "spsa", "cma", "mine"]

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
NO_GREEN = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]])
NO_RED = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])


def linear(color: str) -> np.ndarray:
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ rgb / to_xyz.sum(1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(one: str, other: str, seen: np.ndarray) -> float:
    return float(np.linalg.norm(np.subtract(*(lab(np.clip(seen @ linear(color), 0.0, 1.0)) for color in (one, other)))))


def test_twelve_backends_are_told_apart_and_legible():
    found = looks(NAMES)
    assert len({look.marker for look in found.values()}) == len({look.dashes for look in found.values()}) == 12
    colors = [look.color for look in found.values()]
    for color in colors:
        luminance = float(linear(color) @ np.array([0.2126, 0.7152, 0.0722]))
        assert 1.05 / (luminance + 0.05) >= 3.0  # WCAG 2, graphics on white
    for one, other in combinations([*colors, REFERENCE.color, CURVE], 2):
        assert apart(one, other, np.eye(3)) >= 25.0
        assert min(apart(one, other, NO_GREEN), apart(one, other, NO_RED)) >= 9.0


def test_own_backends_keep_their_looks_and_others_follow_their_order():
    found = looks(NAMES)
    for name in OWN:
        assert looks(["spsa", name, "cma"])[name] == found[name]
    few = looks(["spsa", "autodiff", "cma", "mine", "fourth", "spsa"])
    assert [few[name] for name in ("spsa", "cma", "mine")] == [found[name] for name in ("spsa", "cma", "mine")]
    assert len(set(few.values())) == 5
    assert few == looks(["spsa", "autodiff", "cma", "mine", "fourth"])
    # Of twenty, none is without a look, and the first twelve have one of their own.
    many = looks([f"b{i}" for i in range(20)])
    assert len(set(list(many.values())[:12])) == 12
    assert len(many) == 20


@pytest.mark.parametrize("name", ["autodiff", "spsa"])
def test_a_marker_is_one_letter_as_format_strings_take_it(name):
    assert len(looks([name])[name].marker) == 1

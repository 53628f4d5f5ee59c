"""The bound for several scores against the distribution of their maximum."""

from __future__ import annotations

import math

import pytest
from scipy.stats import norm

from carom.gradients.statistics.significance import critical_z


def test_one_score_keeps_its_bound():
    assert critical_z(1) == pytest.approx(3.0, abs=1e-12)
    assert critical_z(1, 2.0) == pytest.approx(2.0, abs=1e-12)


@pytest.mark.parametrize("count", [2, 8, 400])
def test_the_largest_of_independent_scores_is_as_rare(count):
    """P(max > bound) = 1 - (1 - p/n)^n, which is below p, and above p - p^2/2."""
    single = 2.0 * norm.sf(3.0)
    together = -math.expm1(count * math.log1p(-2.0 * norm.sf(critical_z(count))))
    assert single - single**2 / 2 <= together <= single

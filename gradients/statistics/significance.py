"""Number of standard errors that counts as significant when several numbers are tested together."""

from __future__ import annotations

from statistics import NormalDist

__all__ = ["critical_z"]


def critical_z(count: int, z: float = 3.0) -> float:
    """The bound that the largest of ``count`` normal scores exceeds by chance no more often than one exceeds ``z``.

    Bonferroni's: the probability of one score beyond ``z`` on either side (1 in 370 for 3), shared out over all. 3 for
    one score, 3.6 for eight, 4.5 for 400. No assumption on how they depend on each other.

    Args:
        count: Scores looked at; at least 1.
        z: Bound for a single one.
    """
    return -NormalDist().inv_cdf(NormalDist().cdf(-z) / max(1, count))

"""Streamed moments against the plain formulas on all samples at once, however they are cut and merged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from carom.gradients.statistics.moments import CovarianceMoments, MeanMoments

N, T, C = 23, 2, 3


def samples(seed=0, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(N, T, generator=generator, dtype=torch.float64) + offset
    factors = torch.randn(N, C, generator=generator, dtype=torch.float64)
    return weights, factors


def covariance(weights, factors, cuts, *, centred, keep=None, replication=lambda k: 0, replications=1):
    """Moments of the ranges between ``cuts``, merged."""
    parts = []
    for low, high in itertools.pairwise(cuts):
        part = CovarianceMoments.zeros(replications, T, C, centred=centred)
        for k in range(low, high):
            some = None if keep is None else keep[k : k + 1]
            part.add(replication(k), weights[k : k + 1], factors[k : k + 1], some)
        parts.append(part)
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    return whole


def jackknife(statistic, n):
    """Variance of a statistic of index sets by leaving out one of n."""
    without = np.array([statistic([k for k in range(n) if k != left]) for left in range(n)])
    return (n - 1) / n * ((without - without.mean(0)) ** 2).sum(0)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("cuts", [(0, N), (0, 1, N), (0, 9, 9, 17, N), tuple(range(N + 1))])
def test_leave_one_out_is_the_sample_covariance_with_its_jackknife(cuts, offset):
    weights, factors = samples(offset=offset)

    def statistic(rows):
        w, y = weights[rows].numpy(), factors[rows].numpy()
        others = (w.sum(0) - w) / (len(rows) - 1)  # the mean of the other samples, written out
        return np.einsum("kt,kc->tc", w - others, y) / len(rows)

    mean, variance = covariance(weights, factors, cuts, centred=True).estimate(independent=True)
    digits = 1e-11 if offset == 0.0 else 1e-6
    np.testing.assert_allclose(mean, statistic(range(N)), rtol=digits, atol=digits)
    np.testing.assert_allclose(variance, jackknife(statistic, N), rtol=10 * digits)


@pytest.mark.parametrize("cuts", [(0, N), (0, 9, 17, N)])
def test_plain_mean_of_products(cuts):
    weights, factors = samples(1)
    mean, variance = covariance(weights, factors, cuts, centred=False).estimate(independent=True)
    products = torch.einsum("kt,kc->ktc", weights, factors)
    torch.testing.assert_close(mean, products.mean(0))
    torch.testing.assert_close(variance, products.var(0) / N)
    assert covariance(weights, factors, cuts, centred=False).estimate(independent=False)[1] is None


@pytest.mark.parametrize("cuts", [(0, N), (0, 5, 17, N)])
def test_replications_leave_a_whole_table_out(cuts):
    weights, factors = samples(2, offset=50.0)
    tables = [list(range(low, low + 5)) for low in (0, 5, 10, 15)]

    def statistic(some):
        parts = []
        for r in some:
            others = np.mean([weights[tables[q]].numpy().mean(0) for q in some if q != r], axis=0)
            parts.append(np.einsum("kt,kc->tc", weights[tables[r]].numpy() - others, factors[tables[r]].numpy()) / 5)
        return np.mean(parts, axis=0)

    cuts = tuple(min(cut, 20) for cut in cuts)
    moments = covariance(weights, factors, cuts, centred=True, replication=lambda k: k // 5, replications=4)
    mean, variance = moments.estimate(independent=False)
    np.testing.assert_allclose(mean, statistic(range(4)), rtol=1e-9)
    np.testing.assert_allclose(variance, jackknife(statistic, 4), rtol=1e-9)


def test_one_table_of_dependent_points_subtracts_the_mean_of_all():
    weights, factors = samples(3)
    mean, variance = covariance(weights, factors, (0, N), centred=True).estimate(independent=False)
    torch.testing.assert_close(mean, torch.einsum("kt,kc->tc", weights - weights.mean(0), factors) / N)
    assert variance is None


@pytest.mark.parametrize("cuts", [(0, N), (0, 1, 2, N), (0, 9, 17, N)])
def test_samples_left_out_leave_no_trace(cuts):
    weights, factors = samples(4)
    keep = torch.ones(N, T, dtype=torch.bool)
    keep[:2, 0] = False
    keep[[7, 20], 1] = False
    spoiled = torch.where(keep, weights, torch.nan)
    mean, variance = covariance(spoiled, factors, cuts, centred=True, keep=keep).estimate(independent=True)
    for t in range(T):
        rows = keep[:, t]
        alone = CovarianceMoments.zeros(1, 1, C, centred=True)
        alone.add(0, weights[rows, t : t + 1], factors[rows])
        expected, spread = alone.estimate(independent=True)
        torch.testing.assert_close(mean[t], expected[0])
        torch.testing.assert_close(variance[t], spread[0])


@pytest.mark.parametrize("cuts", [(0, N), (0, 1, N), (0, 9, 9, 17, N)])
def test_mean_moments(cuts):
    y = torch.randn(N, T, C, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + 1e7
    parts = []
    for low, high in itertools.pairwise(cuts):
        part = MeanMoments.zeros(1, T, C)
        if high > low:
            part.add(0, y[low:high])
        parts.append(part)
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    mean, variance = whole.estimate(independent=True)
    torch.testing.assert_close(mean, y.mean(0), rtol=1e-15, atol=0.0)
    torch.testing.assert_close(variance, y.var(0) / N, rtol=1e-7, atol=0.0)


def test_tensors_carry_everything():
    weights, factors = samples(6)
    cov = covariance(weights, factors, (0, N), centred=True)
    sent = [tensor.numpy().tobytes() for tensor in cov.tensors()]
    arrived = [
        torch.frombuffer(bytearray(raw), dtype=torch.float64).view(tensor.shape)
        for raw, tensor in zip(sent, CovarianceMoments.zeros(1, T, C, centred=True).tensors(), strict=True)
    ]
    again = CovarianceMoments.zeros(1, T, C, centred=True).load(arrived)
    for one, other in zip(again.estimate(independent=True), cov.estimate(independent=True), strict=True):
        assert torch.equal(one, other)

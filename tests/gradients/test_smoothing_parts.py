"""Parts of a smoothed estimate: ranges that merge, chunks, a subset of the parameters, samples left out, refusals."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from carom.envs.testbeds import GapPush, Quadratic
from carom.gradients import SAMPLINGS, GradientError, Smoothing, progress_bar

from .closed_forms import WavesAndSteps, characteristic

Z = 4.5
WAVES = WavesAndSteps((0.9, 0.7), (0.0, 0.0))
THETA = torch.tensor([0.3, -0.2], dtype=torch.float64)
MATRIX = ((0.3, 0.0), (0.1, 0.2))

VARIED = [
    Smoothing(scale=MATRIX, samples=96),
    Smoothing(scale=MATRIX, samples=96, antithetic=False, chunk=10),
    Smoothing(scale=MATRIX, samples=96, antithetic=False, baseline="value"),
    Smoothing(scale=MATRIX, samples=96, order="first"),
    *(
        Smoothing(scale=MATRIX, samples=3 * 16, antithetic=False, sampling=name, replications=3 if kind.random else 1)
        for name, kind in SAMPLINGS.items()
        if kind.random
    ),
    Smoothing(scale=MATRIX, samples=64, antithetic=False, sampling="qmc"),
    Smoothing(scale=MATRIX, samples=64, antithetic=False, sampling="cartesian"),
]


def label(backend):
    return f"{backend.sampling}-{backend.order}-{'pairs' if backend.antithetic else backend.baseline}"


def same(one, other, digits=1e-11):
    torch.testing.assert_close(one.value, other.value, rtol=digits, atol=digits)
    torch.testing.assert_close(one.gradient, other.gradient, rtol=digits, atol=digits)
    assert (one.standard_error is None) == (other.standard_error is None)
    if one.standard_error is not None:
        torch.testing.assert_close(one.standard_error, other.standard_error, rtol=1e3 * digits, atol=digits)


@pytest.mark.parametrize("backend", VARIED, ids=label)
def test_any_ranges_merge_into_the_whole(backend):
    batch = torch.stack([THETA, -THETA])
    whole = backend.estimate_with_scale(WAVES, batch, seed=3)
    run = backend.start_run(WAVES, batch, seed=3, with_scale=True)
    for cuts in ([0, 1, 20, run.units], [0, 16, 16, 32, run.units], [0, run.units // 2, run.units]):
        # Ranges in reverse, as different processes might finish them, and sent as tensors.
        parts = [
            backend.start_run(WAVES, batch, seed=3, with_scale=True).measure(low, high - low)
            for low, high in reversed(list(itertools.pairwise(cuts)))
        ][::-1]
        merged = run.empty()
        for part in parts:
            merged = merged.merge(run.empty().load([tensor.clone() for tensor in part.tensors()]))
        for one, other in zip(run.finish(merged), whole, strict=True):
            same(one, other)


@pytest.mark.parametrize("backend", VARIED, ids=label)
def test_chunks_change_nothing(backend):
    whole = backend.estimate_with_scale(WAVES, THETA, seed=3)
    for chunk in (1, 7, 40):
        steps = []
        cut = replace(backend, chunk=chunk).estimate_with_scale(
            WAVES, THETA, seed=3, progress=lambda done, total, steps=steps: steps.append((done, total))
        )
        for one, other in zip(cut, whole, strict=True):
            same(one, other)
        assert steps == sorted(steps)
        assert steps[-1] == (backend.samples, backend.samples)
        assert len(steps) >= backend.samples / max(chunk, 2) - 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's count of resident memory")
def test_memory_does_not_grow_with_the_samples():
    def peak(samples):
        backend = Smoothing(samples=samples, chunk=4096, antithetic=False)
        theta = torch.zeros(64, dtype=torch.float64)
        backend.estimate(lambda t: t.square().sum(1), theta)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        with open("/proc/self/status") as file:
            before = int(dict(line.split(":", 1) for line in file)["VmRSS"].split()[0])
        backend.estimate(lambda t: t.square().sum(1), theta)
        with open("/proc/self/status") as file:
            return int(dict(line.split(":", 1) for line in file)["VmHWM"].split()[0]) - before

    # 200,000 samples of 64 numbers are 100 MB; a chunk of them and its products a few.
    assert peak(200_000) < 30_000
    assert sys.platform == "linux"


def test_calls_are_bounded_without_a_chunk(monkeypatch):
    sizes = []

    def cost(theta):
        sizes.append(len(theta))
        return theta.square().sum(1)

    whole = Smoothing(samples=512).estimate(cost, THETA)
    monkeypatch.setattr("carom.gradients.estimators.smoothing.run._MOST_ROWS", 100)
    same(Smoothing(samples=512).estimate(cost, THETA), whole)
    monkeypatch.setattr("carom.gradients.estimators.smoothing.run._MOST_ENTRIES", 128)
    same(Smoothing(samples=512).estimate(cost, THETA), whole)
    assert sizes == [512, *[100] * 5, 12, *[64] * 8]


def test_progress_bar():
    console = Console(file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    with progress_bar("samples", console=console) as progress:
        estimate = Smoothing(samples=64, chunk=16).estimate(WAVES, THETA, progress=progress)
    same(estimate, Smoothing(samples=64).estimate(WAVES, THETA))


@pytest.mark.parametrize("order", ["zeroth", "first"])
@pytest.mark.parametrize("chosen", [(1,), (-1,), ("b",)])
def test_a_subset_of_the_parameters(order, chosen):
    class Named:
        parameter_names = ("a", "b")
        __call__ = staticmethod(WAVES.__call__)
        value_and_gradient = staticmethod(WAVES.value_and_gradient)

    backend = Smoothing(scale=0.5, samples=20000, antithetic=False, order=order, parameters=chosen)
    main, scale = backend.estimate_with_scale(Named(), THETA, seed=1)
    # Only theta[1] is moved: F = Im exp(i (a . x + c)) phi(a_1 scale).
    (phi,), (slope,) = characteristic("gaussian", np.array([0.7 * 0.5]))
    wave = np.exp(1j * (0.9 * 0.3 - 0.7 * 0.2 + 0.4))
    truth = np.array([0.9, 0.7]) * (wave * phi).real
    assert np.abs((main.gradient.numpy() - truth) / main.standard_error.numpy()).max() < Z
    assert abs(float((scale.gradient - 0.7 * (wave * slope).imag) / scale.standard_error)) < Z
    assert main.diagnostics["smoothed"].tolist() == [False, True]
    # The other's gradient is the mean exact gradient: far closer than a score would be.
    assert float(main.standard_error[0]) < 0.01


def test_other_parameters_as_constants():
    seen = []

    def cost(theta):
        seen.append(theta)
        return (theta > 0).double().sum(1)

    theta = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    for chosen, scale in (((2, 0), (0.5, 0.1)), ((0, 2), (0.1, 0.5))):
        backend = Smoothing(scale=scale, samples=4000, parameters=chosen, others="fixed", antithetic=False)
        estimate = backend.estimate(cost, theta)
        assert bool((seen[-1][:, 1] == theta[1]).all())
        # Scales go with the parameters in the order given.
        spread = seen[-1].std(0)
        assert float(spread[0]) == pytest.approx(0.1, rel=0.1)
        assert float(spread[2]) == pytest.approx(0.5, rel=0.1)
        truth = torch.tensor([math.exp(-0.5) / 0.1, 0.0, math.exp(-0.18) / 0.5]) / math.sqrt(2 * math.pi)
        assert float(estimate.gradient[1]) == float(estimate.standard_error[1]) == 0.0
        z = (estimate.gradient - truth)[[0, 2]] / estimate.standard_error[[0, 2]]
        assert float(z.abs().max()) < Z
    first = Smoothing(samples=16, order="first", parameters=(0,), others="fixed").estimate(WAVES, THETA)
    assert float(first.gradient[1]) == 0.0
    assert float(first.gradient[0]) != 0.0
    # All of them, in another order, is all of them.
    swapped = Smoothing(scale=(0.2, 0.1), samples=64, parameters=(1, 0)).estimate(WAVES, THETA)
    truth = Smoothing(scale=(0.1, 0.2), samples=20000, antithetic=False).estimate(WAVES, THETA)
    assert float(((swapped.gradient - truth.gradient) / swapped.standard_error).abs().max()) < Z


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parameters": (0,)}, r"no value_and_gradient for the others.*others=\"fixed\""),
        ({"parameters": (3,)}, "index 3, but theta has 2"),
        ({"parameters": ("x",)}, "it has no names; or give indices"),
        ({"parameters": (0, -2), "others": "fixed"}, "named twice"),
        (
            {"parameters": (0,), "others": "fixed", "scale": (0.1, 0.1)},
            "scale has 2 entries but theta has 1 parameters",
        ),
    ],
)
def test_subset_refusals(options, words):
    with pytest.raises(GradientError, match=words):
        Smoothing(**options).estimate(lambda t: t.sum(1), torch.ones(2))


@pytest.mark.parametrize("options", [{"parameters": ()}, {"parameters": (1.5,)}, {"others": "zero"}])
def test_subset_options(options):
    with pytest.raises(GradientError, match=r"parameters|others"):
        Smoothing(**options)


def test_named_parameters_that_do_not_exist():
    with pytest.raises(GradientError, match=r"unknown parameter 'ofset'"):
        Smoothing(parameters=("ofset",)).estimate(GapPush(), torch.zeros(1, dtype=torch.float64))


def broken(theta, edge=0.35):
    """theta where it is below the edge, else NaN."""
    return torch.where(theta[:, 0] < edge, theta[:, 0], torch.nan)


def test_samples_left_out_give_the_gradient_of_the_conditional_mean():
    # Gaussian noise cut at z = (edge - x)/scale: E[y | y < edge] = x - scale h, h = phi(z)/Phi(z), whose derivative is
    # 1 - z h - h^2. 400 seeds: their mean within 4.5 of its standard error.
    x, scale = 0.3, 0.1
    z = (0.35 - x) / scale
    h = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / (0.5 * (1 + math.erf(z / math.sqrt(2))))
    backend = Smoothing(scale=scale, samples=16, antithetic=False, non_finite="drop")
    theta = torch.tensor([x], dtype=torch.float64)
    runs = [backend.estimate(broken, theta, seed=seed) for seed in range(400)]
    for seen, truth in (
        (torch.stack([run.gradient[0] for run in runs]), 1 - z * h - h * h),
        (torch.stack([run.value for run in runs]), x - scale * h),
    ):
        assert abs(float((seen.mean() - truth) / (seen.std() / 20))) < Z
    dropped = torch.tensor([run.diagnostics["dropped"] for run in runs])
    share = 0.5 * (1 - math.erf(z / math.sqrt(2)))
    assert float(dropped.mean()) == pytest.approx(16 * share, rel=0.1)  # five standard errors


@pytest.mark.parametrize("chunk", [None, 6])
@pytest.mark.parametrize("order", ["zeroth", "first"])
@pytest.mark.parametrize("antithetic", [True, False])
def test_samples_left_out_by_theta(order, antithetic, chunk):
    class Broken:
        def __call__(self, theta):
            return broken(theta).square()

        def value_and_gradient(self, theta):
            return broken(theta).square(), 2 * broken(theta)[:, None]

    batch = torch.tensor([[0.3], [-5.0]], dtype=torch.float64)
    backend = Smoothing(scale=0.1, samples=64, antithetic=antithetic, order=order, non_finite="drop", chunk=chunk)
    estimate, scale = backend.estimate_with_scale(Broken(), batch, seed=2)
    plain = Smoothing(scale=0.1, samples=64, antithetic=antithetic, order=order)
    for one, other in zip((estimate, scale), plain.estimate_with_scale(Broken(), batch[1], seed=2), strict=True):
        same(replace(one, value=one.value[1], gradient=one.gradient[1], standard_error=one.standard_error[1]), other)
        assert bool(torch.isfinite(one.gradient).all())
    assert estimate.diagnostics["dropped"][1] == 0.0
    dropped = float(estimate.diagnostics["dropped"][0])
    rows = batch[0] + torch.cat([s * backend.perturbation(batch, seed=2).draw(0, 32 * (2 - antithetic)).moves
                                 for s in ((1.0, -1.0) if antithetic else (1.0,))])  # fmt: skip
    bad = (rows[:, 0] >= 0.35).view(2 if antithetic else 1, -1).any(0).sum()
    assert dropped == float(bad) * (2 if antithetic else 1) > 0


def test_too_few_samples_left():
    theta = torch.tensor([9.0], dtype=torch.float64)
    with pytest.raises(GradientError, match=r"not finite in 64 of 64 rollouts, and the 0 units left are too few"):
        Smoothing(samples=64, non_finite="drop").estimate(broken, theta)
    with pytest.raises(GradientError, match="at theta number 1"):
        Smoothing(samples=64, non_finite="drop").estimate(broken, torch.cat([theta * 0, theta])[:, None])


def test_which_samples_are_not_finite_across_chunks():
    calls = []

    def late(theta):
        calls.append(len(theta))
        return torch.where(torch.arange(len(theta)) == 3, torch.nan if len(calls) == 3 else 0.0, theta[:, 0])

    with pytest.raises(
        GradientError, match=r'1 of the 16 rollouts from number 32 of the 64 rollouts \(row 35.*non_finite="drop"'
    ):
        Smoothing(samples=64, chunk=16).estimate(late, torch.zeros(1))


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ([[1.0, 2.0], [2.0, 4.0]], r"singular \(condition number (inf|\d\.?\d*e\+1\d).*parameters="),
        ([[1.0, 0.0], [0.0, 1e-14]], r"condition number 1e\+14"),
        ([[1.0, 0.0]], r"shape \[1, 2\].*square matrix"),
        ([[1.0, math.nan], [0.0, 1.0]], "not finite"),
        ([[[1.0]]], "square matrix"),
        (torch.zeros(2, 2), r"condition number inf"),
    ],
)
def test_scale_matrices(scale, words):
    with pytest.raises(GradientError, match=words):
        Smoothing(scale=scale)


def test_scale_matrix_against_theta():
    with pytest.raises(GradientError, match=r"shape \[2, 2\] but theta has 3 parameters to smooth.*3 x 3"):
        Smoothing(scale=MATRIX).estimate(lambda t: t.sum(1), torch.ones(3))
    with pytest.raises(GradientError, match=r"coordinate 1 drowns in the rounding of torch\.float32"):
        Smoothing(scale=[[1.0, 0.0], [0.0, 1e-9]]).estimate(lambda t: t.sum(1), torch.ones(2))
    assert Smoothing(scale=np.array(MATRIX)) == Smoothing(scale=torch.tensor(MATRIX, dtype=torch.float64))
    assert hash(Smoothing(scale=MATRIX)) == hash(Smoothing(scale=np.array(MATRIX)))


def test_a_matrix_of_one_number_is_that_number():
    theta = Quadratic().initial_parameters()
    one = Smoothing(scale=0.2, samples=64).estimate_with_scale(Quadratic(), theta)
    many = Smoothing(scale=(0.2, 0.2), samples=64).estimate_with_scale(Quadratic(), theta)
    full = Smoothing(scale=[[0.2, 0.0], [0.0, 0.2]], samples=64).estimate_with_scale(Quadratic(), theta)
    same(one[0], many[0])
    same(one[0], full[0])
    torch.testing.assert_close(full[1].gradient.diagonal(), many[1].gradient)
    torch.testing.assert_close(many[1].gradient.sum(), one[1].gradient)
    assert [tuple(pair[1].gradient.shape) for pair in (one, many, full)] == [(), (2,), (2, 2)]

"""Formulas as text: their numbers against NumPy's, their derivatives against central differences."""

from typing import Any

import numpy as np
import pytest
import warp as wp

from carom.kernels.native.formulas import Formulas, Row
from carom.kernels.native.functions import FUNCTIONS
from carom.kernels.native.lanes import WORLDS_AS_LANES, native

COLUMNS = 4


def formulas(f: Formulas) -> tuple[list[Row], list[Row]]:
    """Inputs, and rows of every operation."""
    a, b, c, d = x = f.inputs("given", COLUMNS)
    sine, cosine = (a * 3.0 - b).sine_cosine()
    safe = (a > b).pick(a - b, 1.0)
    either = (c > 0.0) & ~(d < 0.5) | (b >= 0.3)
    return x, [
        a * b + c * d - a, (a * b - c) / (d * d + 1.0), sine * c, cosine / (2.0 + sine), (a * a + b * b).root(),
        (a > b).pick(safe.root(), b * c), either.pick(a * c, d - a), (a - b * d).size(), 1.0 / (1.5 + a * a),
        f.arc(a + 0.1, b), -(a * 0.5) - (2.0 - c) * b, (a <= c).pick(3.0, d), a * b + b * a,
    ]  # fmt: skip


def by_numpy(x: np.ndarray) -> np.ndarray:
    a, b, c, d = x.T
    safe = np.where(a > b, a - b, 1.0)
    return np.stack([
        a * b + c * d - a, (a * b - c) / (d * d + 1.0), np.sin(3 * a - b) * c,
        np.cos(3 * a - b) / (2.0 + np.sin(3 * a - b)), np.sqrt(a * a + b * b), np.where(a > b, np.sqrt(safe), b * c),
        np.where((c > 0.0) & ~(d < 0.5) | (b >= 0.3), a * c, d - a), np.abs(a - b * d), 1.0 / (1.5 + a * a),
        np.arctan2(a + 0.1, b), -(a * 0.5) - (2.0 - c) * b, np.where(a <= c, 3.0, d), 2 * a * b,
    ], axis=1)  # fmt: skip


def run(f: Formulas, rows: list[Row], x: np.ndarray, dtype: Any, lanes: int) -> np.ndarray:
    """The rows' numbers for each line of ``x``."""
    written = "".join(
        f"    for (int l = 0; l < LANES && first + l < worlds; ++l) y[(first + l) * y_stride + {i}] = "
        f"lane({f.name(row)}, l);\n"
        for i, row in enumerate(rows)
    )
    code = f"""{FUNCTIONS}
    row given[{COLUMNS}];
    for (int i = 0; i < {COLUMNS}; ++i) given[i] = of_worlds(x + i, x_stride);
{"".join(f.texts(rows[:5], rows))}{written}"""
    head = "    const int worlds = x_.shape[0];\n"
    text = native(dtype, lanes, head, code, ints={}, scalars={"x": "x_", "y": "y_"})

    @wp.func_native(text)
    def evaluate(first: int, x_: wp.array2d(dtype=dtype), y_: wp.array2d(dtype=dtype)): ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def evaluate_kernel(x: wp.array2d(dtype=dtype), y: wp.array2d(dtype=dtype)):
        evaluate(wp.tid() * wp.static(lanes), x, y)

    y = wp.zeros((len(x), len(rows)), dtype=dtype, device="cpu")
    given = wp.array(x, dtype=dtype, device="cpu")
    wp.launch(evaluate_kernel, dim=-(-len(x) // lanes), inputs=[given], outputs=[y], device="cpu")
    return y.numpy().astype(float)


@pytest.mark.parametrize("lanes", [1, 8])
def test_numbers(lanes: int) -> None:
    x = np.random.default_rng(0).normal(size=(29, COLUMNS))
    f = Formulas()
    np.testing.assert_allclose(run(f, formulas(f)[1], x, wp.float64, lanes), by_numpy(x), rtol=1e-14, atol=1e-14)


def test_derivatives() -> None:
    """Of a weighted sum of all rows, by central differences."""
    x = np.random.default_rng(1).normal(size=(29, COLUMNS))
    f = Formulas()
    inputs, rows = formulas(f)
    weights = np.random.default_rng(2).normal(size=len(rows))
    bars = f.gradient([(row, f.row(w)) for row, w in zip(rows, weights, strict=True)], inputs)
    found = run(f, bars, x, wp.float64, 8)
    step = 1e-6
    for i in range(COLUMNS):
        change = step * np.eye(COLUMNS)[i]
        expected = (by_numpy(x + change) - by_numpy(x - change)) @ weights / (2 * step)
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("dtype", [wp.float32, wp.float64], ids=["float32", "float64"])
def test_lanes_do_not_matter(dtype: Any) -> None:
    x = np.random.default_rng(3).normal(size=(29, COLUMNS))
    f = Formulas()
    inputs, rows = formulas(f)
    rows += f.gradient([(row, f.row(1.0)) for row in rows], inputs)
    np.testing.assert_array_equal(run(f, rows, x, dtype, 1), run(f, rows, x, dtype, 8))


@pytest.mark.parametrize(("dtype", "tolerance"), [(wp.float32, 1.2e-7), (wp.float64, 3e-16)])
def test_sine_and_cosine(dtype: Any, tolerance: float) -> None:
    """Of angles up to where the library's take over, and beyond; against NumPy's in double precision."""
    size = np.array([1e-3, 1.0, 10.0, 999.0, 1e5])[:, None]
    x = (size * np.linspace(-1.0, 1.0, 401)).ravel().astype(np.float32).astype(float)
    f = Formulas()
    found = run(f, [*f.input("given[0]").sine_cosine()], np.repeat(x[:, None], COLUMNS, 1), dtype, 8)
    assert np.abs(found - np.stack([np.sin(x), np.cos(x)], 1)).max() <= tolerance


def test_derivatives_stop_at_rows_that_count_as_independent() -> None:
    f = Formulas()
    a, b = f.inputs("given", 2)
    square = a * a
    by_square, by_a = f.gradient([(square * b + a, f.row(1.0))], [square, a])
    assert (by_square, by_a) == (b, f.row(1.0))


def test_what_nothing_needs_is_not_written() -> None:
    f = Formulas()
    a, b = f.inputs("given", 2)
    needed = a * b + 1.0
    assert (a * b + 1.0) == needed
    _ = (a / b).root()
    assert "root" not in f.texts([needed])[0]
    assert f.texts([needed])[0].count("fused") == 1

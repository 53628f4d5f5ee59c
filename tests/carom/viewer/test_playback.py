"""The viewer's clock and its chart, without a browser."""

from __future__ import annotations

import numpy as np
import pytest

from carom.viewer.curves import at_effort, chart_data, plain
from carom.viewer.playback import Playback


def test_time_goes_on_while_playing_and_starts_again_after_the_end() -> None:
    clock = Playback(duration=2.0, speed=0.5)
    clock.advance(1.0)
    assert clock.time == 0.0
    clock.playing = True
    clock.advance(1.0)
    assert clock.time == 0.5
    clock.advance(10.0)
    assert clock.time == 2.0  # the end is seen
    clock.advance(0.1)
    assert clock.time == 0.0
    clock.seek(9.0)
    assert clock.time == 2.0


def test_a_shorter_run_stays_at_its_end() -> None:
    clock = Playback(duration=2.0, time=1.5)
    assert clock.step(0.01, 200) == 150
    assert clock.step(0.02, 50) == 50


def test_costs_at_the_cursor_lie_on_the_curves() -> None:
    first, second = np.array([[0.0, 4.0], [100.0, 2.0]]), np.array([[50.0, 3.0], [200.0, 0.0]])
    assert at_effort(first, 25.0) == 3.5
    assert np.isnan(at_effort(second, 25.0))
    assert at_effort(first, 150.0) == 2.0  # ended: what it reached
    x, cursor, one, two = chart_data([first, second], 125.0)
    assert (np.diff(x) > 0.0).all()
    np.testing.assert_allclose(x[np.isfinite(cursor)], 125.0, rtol=1e-5)
    assert np.nanmin(cursor) < 0.0
    assert np.nanmax(cursor) > 4.0
    np.testing.assert_allclose(two[np.searchsorted(x, 125.0)], 1.5)
    assert np.isnan(one[x > 100.0]).all()
    assert np.isnan(two[x < 50.0]).all()
    for c in (0.0, 200.0):  # at the ends
        assert np.isfinite(chart_data([first, second], c)[1]).sum() == 2


def test_names_cannot_carry_markup() -> None:
    assert plain("smoothing-first (2)") == "smoothing-first (2)"
    hostile = plain("<img src=x onerror=alert(1)>[a](b)`{}*_")
    assert not set("<>[]`{}*_=") & set(hostile)
    assert pytest.importorskip("html").unescape(hostile) == "<img src=x onerror=alert(1)>[a](b)`{}*_"

"""The table comes as soon as the gradients are there."""

import io

from rich.console import Console

import carom
from carom.cli import main
from carom.envs import GapPush


def test_the_first_look_comes_before_the_race_and_says_what_the_result_says():
    order, looks = [], []

    def look(first):
        order.append("look")
        looks.append(first)

    result = carom.compare(
        GapPush(), backends=["autodiff", "smoothing"], rollouts=200, progress=order.append, first_look=look
    )
    (first,) = looks
    assert first.comparison == result.comparison
    assert first.verdicts == result.verdicts
    assert (first.title, first.noise) == (result.title, result.noise)
    assert first.seconds_left > 0.0
    assert order.index("look") < order.index("trusted step lengths")
    assert not any("gradient" in stage for stage in order[order.index("look") :])


def test_the_command_prints_the_table_once(tmp_path, capfd):
    options = ["--no-report", "--no-race", "--rollouts", "200", "--backends", "autodiff,smoothing"]
    assert not main(["compare", "gap_push", *options, "--out", str(tmp_path / "out")])
    out, err = capfd.readouterr()
    assert out.count("Gradient of gap_push") == 1
    assert "s more for the rest" in err
    assert max(map(len, out.splitlines())) <= Console(file=io.StringIO()).width

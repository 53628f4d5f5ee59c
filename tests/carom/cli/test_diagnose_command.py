"""``carom diagnose``: what it says of a push that does not reach the box, against what is known of it."""

from __future__ import annotations

import pytest

from carom.cli import main


def test_push_from_apart_is_blind_to_contact(capsys):
    main(["diagnose", "push", "--start", "apart", "--samples", "128"])
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "autodiff blind to contact: no step's controls change the cost; box and pusher is not touched by theta"
        in printed
    )
    assert "by step: 0 at the start, 0 at most, in step 0, 0 at the end" in printed
    assert "touch other pairs than theta" in printed


def test_an_objective_that_shows_nothing_is_told_apart(capsys):
    main(["diagnose", "heaviside", "--samples", "256"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "autodiff blind: no sample of it sees what changes the cost; exactly 0, while the averaged" in printed
    assert "no contacts: the objective has no contact_history(theta)" in printed


def test_unknown_task(capsys):
    with pytest.raises(SystemExit) as failure:
        main(["diagnose", "pull"])
    assert failure.value.code == 2
    assert "unknown task 'pull'" in capsys.readouterr().err

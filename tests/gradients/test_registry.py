"""Backends that join by registration: their names, what they are made with, and packages that offer them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from carom.gradients import (
    Autodiff,
    BackendFault,
    Estimate,
    GradientError,
    Smoothing,
    backend_names,
    make_backend,
    register,
    registry,
    unregister,
)


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves a name behind."""
    monkeypatch.setattr(registry, "_added", {})
    monkeypatch.setattr(registry, "_not_loaded", {})
    monkeypatch.setattr(registry, "_asked", True)


@dataclass(frozen=True)
class Given:
    """A backend that keeps what it was made with."""

    scale: object = None
    samples: object = None

    def estimate(self, objective, theta, *, seed=0):
        return Estimate(objective(theta[None])[0], torch.zeros_like(theta), None, 1, 0.0)


def test_a_registered_backend_gets_the_options_that_it_takes():
    before = backend_names()
    assert register("given", Given, aliases=["made"]) is Given
    assert backend_names() == (*before, "given")  # read at the call; aliases are not listed
    assert make_backend("given", scale=0.1, samples=64) == Given(0.1, 64)
    assert make_backend("made", scale=[0.1, 0.2]) == Given((0.1, 0.2), 256)

    @register("half")
    def half(samples):
        return Given(samples=samples // 2)

    @register("none")
    class Bare:
        def estimate(self, objective, theta, *, seed=0):
            raise NotImplementedError

    assert make_backend("half", samples=64) == Given(None, 32)
    assert isinstance(make_backend("none", scale=0.5), Bare)
    unregister("given")
    assert backend_names() == (*before, "half", "none")
    for name in ("given", "made"):
        with pytest.raises(GradientError, match=f"unknown backend '{name}'"):
            make_backend(name)
    with pytest.raises(GradientError, match="unknown registered backend 'smoothing'"):
        unregister("smoothing")


def test_taken_names():
    register("given", Given, aliases=["made"])
    other = lambda: Autodiff()  # noqa: E731 - a factory without a name of its own
    for name, words in (
        ("given", "is registered already"),
        ("made", "registered already as another name of 'given'"),
        ("smoothing", "a backend of carom"),
        ("smoothing-zeroth", "a backend of carom as another name of 'smoothing'"),
    ):
        with pytest.raises(GradientError, match=rf"{words}.*replace=True"):
            register(name, other)
    with pytest.raises(GradientError, match="'smoothing' is the name of a backend"):
        register("new", other, aliases=["smoothing"], replace=True)
    assert "new" not in backend_names()
    register("given", other, replace=True)
    assert make_backend("given") == Autodiff()
    register("smoothing", other, replace=True)
    assert make_backend("smoothing") == make_backend("smoothing-zeroth") == Autodiff()
    assert backend_names().count("smoothing") == 1
    unregister("smoothing")
    assert make_backend("smoothing") == Smoothing(scale=0.02, samples=256)


def test_code_that_is_run_again_takes_its_own_place():
    for length in (1, 2):  # as a cell of a notebook
        scope: dict = {"__name__": "notebook"}
        exec(f"def made():\n    return {length}", scope)
        register("cell", scope["made"])
    with pytest.raises(BackendFault, match="made a int"):
        make_backend("cell")


@pytest.mark.parametrize(
    "name",
    ["", "two words", "a,b", "1st", "-x", "x-", "a--b", "a/b", "naïve", "x" * 33, 3, "reference", "start", "all"],
)
def test_bad_names(name):
    with pytest.raises(GradientError, match="cannot be the name of a backend"):
        register(name, Given)
    if name not in ("", 3):
        with pytest.raises(GradientError, match="cannot be the name of a backend"):
            register("good", Given, aliases=[name])
    assert "good" not in backend_names()


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Given(), r"is a Given: give a function.*\(give its class"),
        ("Given", "is a str"),
        (lambda width: Given(), "needs the argument 'width', and gets scale and samples"),
        (lambda scale, /: Given(), "needs the argument 'scale'"),
    ],
)
def test_factories_that_cannot_be_called(factory, words):
    with pytest.raises(GradientError, match=words):
        register("odd", factory)
    assert "odd" not in backend_names()


def test_what_a_factory_makes():
    register("number", lambda: 3)
    register("class", lambda: Given)
    register("raises", lambda: 1 / 0)
    register("refuses", lambda scale: Smoothing(scale=-scale))
    for name, words in (
        ("number", "made a int, which is no backend: it must return an object with estimate"),
        ("class", "made the class Given, which is no backend"),
        ("raises", r"'raises' cannot be made: ZeroDivisionError: division by zero \(test_registry.py, line \d+"),
    ):
        with pytest.raises(BackendFault, match=words):
            make_backend(name)
    with pytest.raises(GradientError, match=r"scale is -0\.02") as refused:
        make_backend("refuses")
    assert not isinstance(refused.value, BackendFault)
    # Among several, what fails by a fault of its own raises where it is to estimate.
    made = registry.make_backends(["raises", "autodiff"])
    assert made["autodiff"] == Autodiff()
    with pytest.raises(BackendFault, match="cannot be made") as error:
        made["raises"].estimate(lambda rows: rows.sum(1), torch.zeros(1))
    assert isinstance(error.value.__cause__, ZeroDivisionError)


def package(folder: Path, name: str, code: str, entries: str) -> None:
    """Files of an installed package that offers backends."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{entries}\n")


MADE = """
from carom.gradients import Autodiff, register

class Exact(Autodiff):
    pass

@register("by_itself")
def by_itself():
    return Exact()
"""


def test_installed_packages_offer_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package(
        tmp_path, "offers_some", MADE,
        "exact = offers_some:Exact\nby_itself = offers_some:by_itself\nmodule = offers_some\n"
        "autodiff = offers_some:Exact\nno_such = offers_some:Nothing",
    )  # fmt: skip
    package(tmp_path, "is_broken", "import a_module_that_is_not_there", "broken = is_broken:Backend")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_asked", False)
    with pytest.warns(RuntimeWarning) as warned:
        names = backend_names()
    assert set(names[14:]) == {"exact", "by_itself"}  # after carom's own fourteen
    assert type(make_backend("exact")).__module__ == "offers_some"
    said = sorted(str(one.message) for one in warned)
    assert len(said) == 3
    assert "'autodiff' of the package 'offers_some'" in said[0]
    assert "is a backend of carom" in said[0]
    assert "'broken' of the package 'is_broken' (is_broken:Backend) cannot be loaded: ModuleNotFoundError" in said[1]
    assert "a_module_that_is_not_there" in said[1]
    assert "'no_such' of the package 'offers_some'" in said[2]
    with warnings.catch_warnings():  # asked once
        warnings.simplefilter("error")
        backend_names()
    with pytest.raises(GradientError, match=r"the package 'is_broken'.*a_module_that_is_not_there"):
        make_backend("broken")
    assert make_backend("autodiff") == Autodiff()

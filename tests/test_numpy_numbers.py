"""Numbers of NumPy are taken wherever numbers of Python are, and mean the same; what is refused stays refused."""

import dataclasses
import inspect
import math

import numpy as np
import pytest

from carom import gradients, optimization, sim, training
from carom.envs import testbeds
from carom.envs.registry import TASKS
from carom.gradients import learned, policy
from carom.sim.stepping.options import SimulatorOptions

REQUIRED = {
    "scale": 0.02, "width": 0.01, "categories": 3, "samples": 64, "k": 2, "state_scale": 0.1, "control_scale": 0.1,
    "value": 1.5, "groups": 4, "gamma": 0.5, "trajectories": 8, "first": 0.5, "last": 0.25, "theta": (0.5, 0.25),
    "low": (0.0, -1.0), "high": (1.0, 1.0), "bound": 2.0,
}  # fmt: skip
"""Values of options that have no default, or one that is no number."""
SLOW_TO_MAKE = {"Carrots", "DiscPacking"}
PLAIN = (int, float, str)


def candidates():
    """Public classes and the options that are numbers."""
    made = {SimulatorOptions, *TASKS.values()}
    for package in (gradients, policy, learned, optimization, sim, testbeds, training):
        made |= {thing for thing in (getattr(package, name) for name in package.__all__) if inspect.isclass(thing)}
    for make in sorted(made, key=lambda m: m.__qualname__):
        if issubclass(make, Exception) or make.__name__ in SLOW_TO_MAKE:
            continue
        options = {}
        for name, option in inspect.signature(make).parameters.items():
            given = option.default if option.default is not option.empty else REQUIRED.get(name)
            numbers = given if isinstance(given, tuple) and given else (given,)
            if all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
                options[name] = given
        yield make, options


@pytest.fixture(scope="module")
def makers():
    """Those that can be made of numbers alone."""
    usable = []
    for make, options in candidates():
        try:
            make(**options)
        except Exception:
            continue  # more is needed than numbers: how many are left is asserted
        if options:
            usable.append((make, options))
    names = {make.__name__ for make, _ in usable}
    assert {"SimulatorOptions", "Smoothing", "Softplus", "Push", "Adam", "ActorCritic", "CentralDifferences"} <= names
    assert len(usable) > 50
    return usable


def as_numpy(value, single):
    """The same number in types of NumPy; in single precision, which most numbers do not survive, or in double."""
    if isinstance(value, tuple):
        yield from zip(*(as_numpy(v, single) for v in value), strict=True)
    elif isinstance(value, int):
        yield from (np.int64(value), np.int32(value), np.array(value))
    else:
        kind = np.float32 if single else np.float64
        yield from (kind(value), np.array(value, dtype=kind), np.array(kind(value)))


def as_python(value):
    return tuple(map(as_python, value)) if isinstance(value, tuple) else np.asarray(value).item()


def outcome(make, options):
    """Options that an object keeps, or the error."""
    try:
        thing = make(**options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if dataclasses.is_dataclass(thing):
        return {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
    return {name: value for name, value in vars(thing).items() if isinstance(value, (*PLAIN, tuple, np.generic))}


def same(a, b):
    """Equal, and of one type."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or not isinstance(a, PLAIN))


@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
def test_numpy_numbers_mean_what_pythons_do(makers, single):
    differ = []
    for make, options in makers:
        for name, value in options.items():
            for given in as_numpy(value, single):
                wanted, got = (outcome(make, options | {name: x}) for x in (as_python(given), given))
                if not same(wanted, got):
                    differ.append(f"{make.__name__}({name}={given!r}): {got} instead of {wanted}")
    assert not differ, "\n".join(differ)


def test_what_is_refused_of_python_is_refused_of_numpy(makers):
    differ, refused = [], 0
    for make, options in makers:
        for name in options:
            for python, numpy in (
                (True, np.bool_(True)),
                (math.nan, np.float32("nan")),
                (math.nan, np.array(math.nan)),
            ):
                wanted, got = (outcome(make, options | {name: x}) for x in (python, numpy))
                if isinstance(wanted, str):
                    refused += 1
                    if got != wanted:
                        differ.append(f"{make.__name__}({name}={numpy!r}): {got} instead of {wanted}")
    assert not differ, "\n".join(differ)
    assert refused > 150

"""Backends by name: those of carom, those that a program registers, and those that installed packages offer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, TypeVar, overload

from ..plain import plain_numbers
from .control_variates import LAX
from .core.checked import fault
from .core.checks import Scale, check_scale, suggest
from .core.errors import BackendFault, GradientError
from .core.interface import Backend
from .estimators.autodiff import Autodiff
from .estimators.boundary.estimator import Boundary
from .estimators.ddcg import DDCG
from .estimators.mixed import Mixed
from .estimators.smoothing.estimator import Smoothing
from .estimators.softened import Softened
from .estimators.surrogate import Surrogate
from .estimators.unrolled.clipped import Clipped
from .estimators.unrolled.ivwh import IVWH
from .estimators.unrolled.persistent import PersistentES
from .estimators.unrolled.truncated import Truncated
from .plugins import GROUP, load_plugins

__all__ = [
    "GROUP", "added_names", "backend_names", "check_names", "make_backend", "make_backends", "register", "unregister",
]  # fmt: skip

Factory = Callable[..., Any]
F = TypeVar("F", bound=Factory)

_OWN: dict[str, Factory] = {
    "autodiff": lambda: Autodiff(),
    "smoothing": lambda scale, samples: Smoothing(scale=scale, samples=samples, order="zeroth"),
    "smoothing-first": lambda scale, samples: Smoothing(scale=scale, samples=samples, order="first"),
    "boundary": lambda scale, samples: Boundary(
        scale=scale, samples=max(16, samples // 64 * 8), sampling="rqmc", replications=8
    ),
    "mixed": lambda scale, samples: Mixed(
        first=Smoothing(scale=scale, samples=samples, order="first"), zeroth=Smoothing(scale=scale, samples=samples)
    ),
    "lax": lambda scale, samples: LAX(scale=scale, samples=samples),
    "softened": lambda: Softened(),
    "softened-forward": lambda: Softened(forward=True),
    "surrogate": lambda scale, samples: Surrogate(scale=scale, samples=samples),
    "ddcg": lambda scale, samples: DDCG(scale=scale, samples=samples),
    "ivw-h": lambda scale, samples: IVWH(scale=scale, samples=samples),
    "truncated": lambda scale, samples: Truncated(backend=Smoothing(scale=scale, samples=samples, order="first")),
    "clipped": lambda scale, samples: Clipped(
        by="adjoint", backend=Smoothing(scale=scale, samples=samples, order="first")
    ),
    "persistent-es": lambda scale, samples: PersistentES(scale=scale, samples=max(4, samples // 2 * 2)),
}
_OWN_ALIASES = {"smoothing-zeroth": "smoothing"}

_OPTIONS = ("scale", "samples")
"""Options that a factory may take."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*")
_LONGEST = 32
_TAKEN = ("reference", "start", "done", "first", "zeroth", "all")
"""Names that mean something else in a comparison, a run or a diagnosis."""


@dataclass(frozen=True)
class _Added:
    """A registered backend."""

    factory: Factory
    options: tuple[str, ...]
    """Those of ``_OPTIONS`` that the factory takes."""
    aliases: tuple[str, ...]


_added: dict[str, _Added] = {}
_not_loaded: dict[str, str] = {}
"""Names of backends of installed packages that cannot be loaded, with the reason."""
_asked = False
"""Whether the installed packages have been asked."""


@overload
def register(name: str, factory: F, *, aliases: Iterable[str] = (), replace: bool = False) -> F: ...
@overload
def register(
    name: str, factory: None = None, *, aliases: Iterable[str] = (), replace: bool = False
) -> Callable[[F], F]: ...
def register(name: str, factory: Any = None, *, aliases: Iterable[str] = (), replace: bool = False) -> Any:
    """Give a backend a name, under which every command and every list of carom then finds it.

        register("spsa", SPSA)

        @register("spsa")
        @dataclass(frozen=True)
        class SPSA: ...

    Args:
        name: Letters and digits, with single "-", "_" or "." between them; the first is a letter. At most 32.
        factory: The class of the backend, or a function that returns one. It gets, by keyword, those of ``scale``
            (standard deviation of the noise, in the units of theta: a float, or a tuple of one per parameter) and
            ``samples`` (rollouts of an estimate, about) that it has parameters for. None: a decorator is returned.
        aliases: Further names that mean the same and are not listed.
        replace: Whether it takes the place of what has one of these names. Code that is run again (a cell of a
            notebook, a module that is reloaded) takes its own place without it.

    Returns:
        The factory, or the decorator.

    Raises:
        GradientError: A bad name, or one that is taken; a factory that needs other arguments.
    """
    if factory is None:
        return lambda made: register(name, made, aliases=aliases, replace=replace)
    if isinstance(aliases, str):
        raise GradientError(f"aliases is {aliases!r}: give a list of names, e.g. [{aliases!r}]")
    aliases = tuple(aliases)
    for one in (name, *aliases):
        _check_name(one)
    options = _options_of(name, factory)
    for one in (name, *aliases):
        owner = _owner(one)
        if owner is not None and not replace and not (owner == name and _again(name, factory)):
            whose = "a backend of carom" if owner in _OWN and owner not in _added else "registered already"
            meaning = "" if owner == one else f" as another name of {owner!r}"
            raise GradientError(
                f"the name {one!r} of a backend is {whose}{meaning}: choose another, or take its place by "
                "register(..., replace=True)"
            )
    for one in aliases:
        if one in _OWN or (one in _added and one != name):
            raise GradientError(f"{one!r} is the name of a backend: it cannot be another name of {name!r} too")
    for other, entry in list(_added.items()):
        _added[other] = _Added(
            entry.factory, entry.options, tuple(a for a in entry.aliases if a not in (name, *aliases))
        )
    _added[name] = _Added(factory, options, aliases)
    return factory


def unregister(name: str) -> None:
    """Forget a registered backend; one of carom that it took the place of is back.

    Raises:
        GradientError: Nothing is registered under this name.
    """
    if name not in _added:
        raise GradientError(suggest("registered backend", name, _added or ["none"]))
    del _added[name]


def backend_names() -> tuple[str, ...]:
    """Names that :func:`make_backend` takes, without aliases: carom's own, and those registered since."""
    _ask_packages()
    return (*_OWN, *(name for name in _added if name not in _OWN))


def added_names() -> tuple[str, ...]:
    """Names of backends that are not carom's own."""
    return tuple(name for name in backend_names() if name not in _OWN)


def check_names(names: Iterable[str]) -> None:
    """Refuse a name that no backend has, without making any.

    Raises:
        GradientError: There is such a name.
    """
    for name in names:
        _resolved(name)


@plain_numbers
def make_backend(name: str, *, scale: Scale = 0.02, samples: int = 256) -> Backend:
    """The backend of this name; ``scale`` and ``samples`` go to those that use them.

    Raises:
        GradientError: An unknown name; options that the backend refuses.
        BackendFault: What is registered under the name fails, or makes something that is no backend.
    """
    canonical = _resolved(name)
    given: dict[str, Any] = {"scale": scale, "samples": samples}
    if canonical in _added:
        entry = _added[canonical]
        factory, options = entry.factory, entry.options
        given["scale"] = check_scale(scale)
    else:
        factory = _OWN[canonical]
        options = tuple(option for option in _OPTIONS if option in signature(factory).parameters)
    try:
        made = factory(**{option: given[option] for option in options})
    except GradientError:
        raise
    except Exception as error:
        raise BackendFault(f"the backend {name!r} cannot be made: {fault(error)}") from error
    if isinstance(made, type) or not isinstance(made, Backend):
        what = f"the class {made.__name__}" if isinstance(made, type) else f"a {type(made).__name__}"
        raise BackendFault(
            f"what is registered as {name!r} made {what}, which is no backend: it must return an object with "
            "estimate(objective, theta, *, seed=0)"
        )
    return made


@dataclass(frozen=True)
class _Unmade:
    """Stands for a backend that could not be made: each estimate is the error."""

    error: BackendFault

    def estimate(self, objective: object, theta: object, *, seed: int = 0) -> Any:
        """Raise it."""
        raise BackendFault(str(self.error)) from self.error.__cause__


def make_backends(names: Iterable[str], *, scale: Scale = 0.02, samples: int = 256) -> dict[str, Backend]:
    """Backends by name. One that cannot be made for a fault of its own raises when it is to estimate, not here.

    Raises:
        GradientError: An unknown name; options that a backend refuses.
    """
    made: dict[str, Backend] = {}
    for name in names:
        try:
            made[name] = make_backend(name, scale=scale, samples=samples)
        except BackendFault as error:
            made[name] = _Unmade(error)
    return made


def _resolved(name: object) -> str:
    """The name without aliases."""
    _ask_packages()
    if not isinstance(name, str):
        raise GradientError(f"the name of a backend is {name!r}: give a string, e.g. 'smoothing'")
    canonical = _owner(name)
    if canonical is not None:
        return canonical
    if name in _not_loaded:
        raise GradientError(_not_loaded[name])
    aliases = [alias for entry in _added.values() for alias in entry.aliases]
    raise GradientError(suggest("backend", name, [*backend_names(), *_OWN_ALIASES, *aliases]))


def _owner(name: str) -> str | None:
    """The backend that the name means now."""
    if name in _added or name in _OWN:
        return name
    for other, entry in _added.items():
        if name in entry.aliases:
            return other
    return _OWN_ALIASES.get(name)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise GradientError(
            f"{name!r} cannot be the name of a backend: names are letters and digits, with '-', '_' or '.' between, "
            f"begin with a letter and have at most {_LONGEST} characters, so that they can stand in command lines and "
            "in names of files"
        )
    if name in _TAKEN:
        raise GradientError(
            f"{name!r} cannot be the name of a backend: it means something else in results. Choose another"
        )


def _again(name: str, factory: Factory) -> bool:
    """Whether the factory is that of the registered one, or the same code run once more."""
    old = _added.get(name)
    if old is None:
        return False
    where = [(getattr(one, "__module__", None), getattr(one, "__qualname__", None)) for one in (old.factory, factory)]
    named = where[0][1] is not None and "<lambda>" not in str(where[0][1])
    return old.factory is factory or (named and where[0] == where[1])


def _options_of(name: str, factory: object) -> tuple[str, ...]:
    """The options that the factory takes."""
    if not callable(factory):
        hint = " (give its class, or a function that returns it)" if isinstance(factory, Backend) else ""
        raise GradientError(
            f"the factory of backend {name!r} is a {type(factory).__name__}: give a function of scale and samples that "
            f"returns a backend{hint}"
        )
    try:
        parameters = signature(factory).parameters.values()
    except (TypeError, ValueError):  # written in C: nothing is known about it
        return _OPTIONS
    if any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
        return _OPTIONS
    for one in parameters:
        given = one.name in _OPTIONS and one.kind is not Parameter.POSITIONAL_ONLY
        if one.default is Parameter.empty and one.kind is not Parameter.VAR_POSITIONAL and not given:
            raise GradientError(
                f"the factory of backend {name!r} needs the argument {one.name!r}, and gets scale and samples by "
                f"keyword: give {one.name!r} a default, or register a function of scale and samples"
            )
    return tuple(option for option in _OPTIONS if option in {one.name for one in parameters})


def _ask_packages() -> None:
    """Load what installed packages offer, once."""
    global _asked
    if _asked:
        return
    _asked = True  # before: what is loaded may ask for names itself
    _not_loaded.update(load_plugins(_offered))


def _offered(name: str, found: Any) -> None:
    """Register what an entry point leads to, unless its module has done so when it was imported."""
    entry = _added.get(name)
    if entry is None or entry.factory is not found:
        register(name, found)

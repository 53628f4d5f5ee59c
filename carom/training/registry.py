"""Ways of training by name. A new one is one entry here."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable
from inspect import signature
from typing import Any

from ..gradients import make_backend
from ..gradients.registry import added_names
from ..sim.stepping.contact_functions import Softplus
from .actor_critic import ActorCritic
from .analytic import Analytic
from .by_backend import ByBackend
from .errors import TrainingError
from .lax import LAX
from .method import Method
from .mixture import Mixture
from .proximal import ProximalPolicy
from .score_function import ScoreFunction

__all__ = ["METHODS", "make_method", "methods"]


def _softened(width: float = 4e-3, **options: Any) -> ActorCritic:
    return ActorCritic(gradient=Analytic(Softplus(width, forward=False)), **options)


METHODS: dict[str, tuple[Callable[..., Method], str]] = {
    "autodiff": (ActorCritic, "actor-critic, exact gradient through the simulator"),
    "softened": (_softened, "the same with contact forces that act before the shapes touch; option width [m]"),
    "smoothing": (
        lambda **options: ActorCritic(gradient=ScoreFunction(), **options),
        "actor-critic, score-function gradient from costs alone",
    ),
    "mixed": (lambda **options: ActorCritic(gradient=Mixture(), **options), "both, weighted by their variances"),
    "lax": (lambda **options: ActorCritic(gradient=LAX(), **options), "score function with a trained control variate"),
    "ppo": (ProximalPolicy, "PPO of stable-baselines3"),
}
"""Methods by name: the function that makes each from options, and a description."""

_WORLDS = 16
"""Worlds of a training with a registered backend, whose every rollout is a window in all of them."""


def methods() -> dict[str, tuple[Callable[..., Method], str]]:
    """``METHODS``, and one for each backend that was registered with ``carom.gradients.register``."""
    return {**{name: (_by_backend(name), f"actor-critic, gradient by {name}") for name in added_names()}, **METHODS}


def _by_backend(name: str) -> Callable[..., Method]:
    def make(scale: float = 0.05, samples: int = 32, worlds: int = _WORLDS, **options: Any) -> ActorCritic:
        backend = make_backend(name, scale=scale, samples=samples)
        return ActorCritic(gradient=ByBackend(backend), worlds=worlds, **options)

    return make


def make_method(name: str, **options: Any) -> Method:
    """The way of training called ``name``; options are the fields of :class:`ActorCritic` or :class:`ProximalPolicy`.

    A backend that was registered is one too (:class:`ByBackend`); it also takes ``scale``, the standard deviation of
    noise on the policy's parameters, and ``samples``.

    Raises:
        TrainingError: There is none of this name, or it does not take one of the options.
    """
    known = methods()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise TrainingError(f"unknown gradient {name!r} to train with; {hint}there are {', '.join(known)}")
    try:
        return known[name][0](**options)
    except TypeError as error:
        taken = _settings(known[name][0])
        found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        close = difflib.get_close_matches(found[1], taken, n=1) if found else []
        hint = f"did you mean {close[0]!r}? " if close else ""
        said = f"there is no setting {found[1]!r}" if found else str(error)
        raise TrainingError(f"training with {name!r}: {said}; {hint}settings are {', '.join(taken)}") from None


def _settings(make: Callable[..., Method]) -> list[str]:
    """Names of what a way of training takes."""
    own = [name for name, one in signature(make).parameters.items() if one.kind is not one.VAR_KEYWORD]
    fields = [] if isinstance(make, type) else [field.name for field in dataclasses.fields(ActorCritic)]
    return [name for name in dict.fromkeys([*own, *fields]) if name not in ("gradient", "softening")]

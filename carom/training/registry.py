"""Ways of training by name. A new one is one entry here."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable
from inspect import signature
from typing import Any

from ..sim.stepping.contact_functions import Softplus
from .actor_critic import ActorCritic
from .analytic import Analytic
from .errors import TrainingError
from .lax import LAX
from .method import Method
from .mixture import Mixture
from .proximal import ProximalPolicy
from .score_function import ScoreFunction

__all__ = ["METHODS", "make_method"]


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


def make_method(name: str, **options: Any) -> Method:
    """The way of training called ``name``; options are the fields of :class:`ActorCritic` or :class:`ProximalPolicy`.

    Raises:
        TrainingError: There is none of this name, or it does not take one of the options.
    """
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise TrainingError(f"unknown gradient {name!r} to train with; {hint}there are {', '.join(METHODS)}")
    try:
        return METHODS[name][0](**options)
    except TypeError as error:
        taken = _settings(METHODS[name][0])
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

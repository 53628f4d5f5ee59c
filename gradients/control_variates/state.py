"""State of a trained control variate, kept between estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..core.errors import GradientError
from ..noise.counter_random import derive_seed

__all__ = ["ControlVariateState"]


class ControlVariateState:
    """Weights of a control variate and of its optimizer, carried from one estimate to the next.

    A backend without one starts from nothing in every call, and a call is then a function of its arguments alone. With
    one (``LAX(state=ControlVariateState())``) the control variate goes on learning, which helps where theta moves
    little between calls, as in an optimization. An estimate stays unbiased because its noise is independent of all that
    the state has seen; a seed that was used before would break that, and is refused. One state serves one backend and
    one number of thetas.

    ``parameters`` is the list of tensors [thetas, ...] that are trained, ``spread`` [thetas] the unit in which the
    control variate counts costs. Both may be set by hand, to anything: the estimate stays unbiased.
    """

    def __init__(self) -> None:
        self.parameters: list[torch.Tensor] = []
        self.spread: torch.Tensor | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        self._made_for: tuple[object, ...] | None = None
        self._seeds: set[int] = set()

    def __repr__(self) -> str:
        return f"ControlVariateState({self.calls} calls)"

    @property
    def calls(self) -> int:
        """Estimates that used this state."""
        return len(self._seeds)

    def enter(self, seed: int, made_for: tuple[object, ...], start: Callable[[], Sequence[torch.Tensor]]) -> None:
        """Begin an estimate: make the first parameters, or check that those there are fit it."""
        derive_seed(seed)  # refuses what is not an integer
        if seed in self._seeds:
            raise GradientError(
                f"seed {seed} was used before with this state: its control variate was trained on that noise, and the "
                "estimate would be biased. Give every call a seed of its own (differentiable() does), or leave "
                "state out"
            )
        if self._made_for is None:
            self.parameters = [tensor.detach().clone().requires_grad_() for tensor in start()]
            self._made_for = made_for
        elif self._made_for != made_for:
            raise GradientError(
                f"the state was made for {_listed(self._made_for)}, and this estimate is of {_listed(made_for)}: give "
                "each backend and each number of thetas a ControlVariateState() of its own"
            )
        self._seeds.add(seed)


def _listed(made_for: tuple[object, ...]) -> str:
    return ", ".join(str(part) for part in made_for)

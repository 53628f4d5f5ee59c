"""Base of every torch function of the project: first derivatives by a backward pass, and an error for all others.

torch's own ``once_differentiable`` does not suffice: it hangs its error on a node that ``autograd.grad``,
``functional.hessian`` and forward-mode differentiation never reach, so that they answer with wrong numbers or zeros.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch.autograd import forward_ad

__all__ = [
    "FirstOrder",
    "Limits",
    "Product",
    "eager",
    "inside_transform",
    "numbers_only",
    "refuse_batched",
    "refuse_transforms",
    "refuse_vmap",
]

_functorch = torch._C._functorch

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Limits:
    """Limits of a torch function and the calls to use instead; each a phrase of an error message."""

    what: str
    """Name of the function, e.g. "a rollout"."""
    instead: str
    """First-order calls that give a second derivative: "take ..."."""
    error: type[Exception]
    batch: str
    """Replacement of torch.vmap."""
    tangent: str = "use a backward pass: torch.autograd.grad, torch.autograd.functional.vjp or torch.func.grad"
    """Calls that give a product with a tangent."""

    def second(self) -> Exception:
        """The error for a derivative of a derivative."""
        return self.error(
            f"a second derivative was asked of {self.what}, which has first derivatives only (functional.hessian, hvp, "
            "vhp, jvp and torch.func.hessian take one, and so does whoever differentiates a gradient made with "
            f"create_graph=True): {self.instead}. Where the first derivative was all that was wanted, drop "
            "create_graph=True"
        )

    def numbers(self) -> Exception:
        """The error for a derivative of results that are plain numbers."""
        return self.error(
            f"the result of {self.what} was differentiated. It is plain numbers, and its derivative is not known: "
            f"{self.instead}"
        )

    def forward(self) -> Exception:
        """The error of forward-mode differentiation."""
        return self.error(
            f"forward-mode differentiation was asked of {self.what} (torch.func.jvp, jacfwd or hessian, "
            "torch.autograd.forward_ad): a tangent does not pass through it. For a first derivative "
            f"{self.tangent}; for a second one {self.instead}"
        )

    def vmap(self) -> Exception:
        """The error of torch.vmap."""
        return self.error(f"{self.what} was called inside torch.vmap, which it does not pass through: {self.batch}")

    def batched_backward(self) -> Exception:
        """The error of a backward pass of many rows at once."""
        return self.error(
            f"the backward pass of {self.what} was given many rows at once (autograd.grad with is_grads_batched=True, "
            "functional.jacobian or hessian with vectorize=True): leave that option out, or use torch.func.jacrev"
        )

    def traced(self) -> Exception:
        """The error of torch.jit.trace."""
        return self.error(
            f"{self.what} was called under torch.jit.trace, which would keep its numbers as constants: call it without "
            "tracing; torch.compile leaves it as it is"
        )


class FirstOrder(torch.autograd.Function):
    """Base of torch functions with a first derivative by a backward pass. Whatever else is asked for raises.

    A subclass has ``forward`` and ``setup_context``, which saves all inputs that can require a gradient, and a
    ``backward`` that returns ``SomeProduct.apply(...)`` of those inputs and of the incoming gradients, and does
    nothing else with either. Callers pass their inputs through :func:`refuse_transforms` before they look at them.
    """

    limits: ClassVar[Limits]

    @classmethod
    def jvp(cls, ctx: Any, *tangents: Any) -> Any:  # type: ignore[override]
        """Raise: there is no forward mode."""
        raise cls.limits.forward()

    @classmethod
    def vmap(cls, info: Any, in_dims: Any, *args: Any) -> Any:  # type: ignore[override]
        """Raise: rows are given as a batch."""
        raise cls.limits.vmap()


class Product(torch.autograd.Function):
    """Base of the product of incoming gradients with a function's Jacobian, as a torch function that has no derivative.

    Since it takes everything that the product depends on, torch keeps a way from the product back to all of it; and
    on that way stands the error. That is so for constant incoming gradients too, those of a linear loss.
    """

    limits: ClassVar[Limits]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Save nothing."""

    @classmethod
    def backward(cls, ctx: Any, *grads: Any) -> Any:  # type: ignore[override]
        """Raise: a second derivative."""
        raise cls.limits.second()

    @classmethod
    def jvp(cls, ctx: Any, *tangents: Any) -> Any:  # type: ignore[override]
        """Raise: there is no forward mode."""
        raise cls.limits.forward()

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:  # type: ignore[override]
        """Row after row: torch.func.jacrev asks for all rows of a Jacobian at once."""
        rows = []
        for i in range(info.batch_size):
            row = [x if dim is None else x.select(dim, i) for x, dim in zip(args, in_dims, strict=True)]
            rows.append(cls.apply(*row))
        columns = list(zip(*rows, strict=True))
        stacked = tuple(None if column[0] is None else torch.stack(column) for column in columns)
        return stacked, tuple(None if column is None else 0 for column in stacked)


class _Numbers(Product):
    """Results as they are, tied to what they were computed from by an error."""

    limits = Limits("a result", instead="take central differences of it", batch="give a batch", error=ValueError)

    @staticmethod
    def forward(limits: Limits, count: int, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tensor.clone() for tensor in tensors[:count])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.limits = inputs[0]

    @classmethod
    def backward(cls, ctx: Any, *grads: Any) -> Any:  # type: ignore[override]
        raise ctx.limits.numbers()


def numbers_only(
    limits: Limits, results: tuple[torch.Tensor, ...], sources: tuple[torch.Tensor | None, ...]
) -> tuple[torch.Tensor, ...]:
    """``results``, computed from ``sources`` without torch's knowledge: their differentiation raises an error.

    Nothing changes where no gradient is recorded.
    """
    needed = [x for x in sources if isinstance(x, torch.Tensor) and x.requires_grad]
    if not (needed and torch.is_grad_enabled()):
        return results
    return _Numbers.apply(limits, len(results), *results, *needed)  # type: ignore[no-any-return]


def refuse_transforms(limits: Limits, *values: Any) -> None:
    """Raise if a tensor among ``values`` carries a tangent or is a row of torch.vmap, or if torch traces the call."""
    refuse_vmap(limits, *values)
    if any(map(_has_tangent, values)):
        raise limits.forward()


def refuse_vmap(limits: Limits, *values: Any) -> None:
    """Raise if a tensor among ``values`` is a row of torch.vmap, or if torch traces the call: no number can be read."""
    if torch.jit.is_tracing():
        raise limits.traced()
    if _functorch.peek_interpreter_stack() is None:
        return
    for value in values:
        if any(map(_functorch.is_batchedtensor, _layers(value))):
            raise limits.vmap()


def inside_transform(value: Any) -> bool:
    """Whether ``value`` is a tensor that torch.func follows, or carries a tangent."""
    return isinstance(value, torch.Tensor) and (_functorch.is_functorch_wrapped_tensor(value) or _has_tangent(value))


def refuse_batched(limits: Limits, *values: Any) -> None:
    """Raise if a tensor among ``values`` holds the rows of ``is_grads_batched=True``."""
    if any(isinstance(value, torch.Tensor) and _functorch.is_legacy_batchedtensor(value) for value in values):
        raise limits.batched_backward()


def _layers(value: Any) -> Iterator[torch.Tensor]:
    """A tensor, and what the nested transforms of torch.func have wrapped in it; nothing for what is no tensor."""
    if isinstance(value, torch.Tensor):
        yield value
        while _functorch.is_functorch_wrapped_tensor(value):
            value = _functorch.get_unwrapped(value)
            yield value


def _has_tangent(value: Any) -> bool:
    if forward_ad._current_level < 0:
        return False
    return any(forward_ad.unpack_dual(layer).tangent is not None for layer in _layers(value))


def eager(function: F) -> F:
    """``function``, which torch.compile leaves as it is: a break in its graph, and the same numbers.

    torch.compiler.disable does that too, but loads the compiler, which takes seconds, when the function is defined.
    """
    disabled: list[Any] = []

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **options)
        if not disabled:
            disabled.append(torch.compiler.disable(function))
        return disabled[0](*args, **options)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]
    call._torchdynamo_disable_msg = "carom simulates outside torch; leave fullgraph=True out"  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]

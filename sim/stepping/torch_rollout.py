"""The rollout as a torch function: the simulation forward, the implicit adjoint backward."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from ...first_order import FirstOrder, Limits, Product, refuse_batched
from ..errors import DerivativeError
from ..scene.model import PARAMETERS

__all__ = ["LIMITS", "Rollout"]

SEEDS = ("path_q", "path_v", "final_q", "final_v")

LIMITS = Limits(
    what="a rollout of the simulator",
    instead="take central differences of its gradient in float64, g(x + e) and g(x - e) each by torch.autograd.grad "
    "with a step of about 1e-5 of x's own scale; the Gauss-Newton part of the Hessian of a squared cost takes first "
    "derivatives only (torch.autograd.functional.jacobian)",
    tangent="use a backward pass, torch.autograd.grad or torch.autograd.functional.vjp; for all derivatives of a step "
    "at once carom.sim.step_jacobian, whose product with a tangent is the forward derivative",
    batch="make the rows worlds of one batch, State(body_q [worlds, ...], body_v [worlds, ...]); worlds never share "
    "anything",
    error=DerivativeError,
)


class Rollout(FirstOrder):
    """Inputs: simulator, a box for the diagnostics, whether the path is wanted, q0, v0, controls, sizes, parameters."""

    limits = LIMITS

    @staticmethod
    def forward(  # noqa: D102
        simulator: Any, box: SimpleNamespace, record: bool, q0: torch.Tensor, v0: torch.Tensor, control: torch.Tensor,
        sizes: torch.Tensor, *parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        values = {"shape_size": sizes, **dict(zip(PARAMETERS, parameters, strict=True))}
        path_q, path_v, final_q, final_v, diagnostics, box.staged = simulator.run_forward(q0, v0, control, values, True)
        box.diagnostics = diagnostics
        return path_q, path_v, final_q, final_v

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: D102
        simulator, box, record, q0, v0, *others = inputs
        path_q, path_v, _, _ = output
        ctx.simulator, ctx.staged = simulator, box.staged
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q0, v0, path_q, path_v, *others)  # control, sizes, parameters
        if not record:
            ctx.mark_non_differentiable(path_q, path_v)

    @staticmethod
    def backward(ctx: Any, *seeds: torch.Tensor | None) -> tuple[Any, ...]:  # noqa: D102
        refuse_batched(LIMITS, *seeds)
        wanted = frozenset(name for name, needs in zip(PARAMETERS, ctx.needs_input_grad[7:], strict=True) if needs)
        q0, v0, control, *parameters = Adjoint.apply(ctx.simulator, wanted, ctx.staged, *seeds, *ctx.saved_tensors)
        return None, None, None, q0, v0, control, None, *parameters


class Adjoint(Product):
    """Inputs: simulator, names of the wanted parameters, steps of several solves, seeds, and what the rollout saved."""

    limits = LIMITS

    @staticmethod
    def forward(
        simulator: Any, wanted: frozenset[str], staged: torch.Tensor, *tensors: Any
    ) -> tuple[torch.Tensor, ...]:
        seeds = dict(zip(SEEDS, tensors, strict=False))
        _, _, path_q, path_v, control, sizes, *parameters = tensors[len(SEEDS) :]
        values = {"shape_size": sizes, **dict(zip(PARAMETERS, parameters, strict=True))}
        out = simulator.run_backward(path_q, path_v, control, values, seeds, wanted, staged)
        grads = []
        for name, value in zip(PARAMETERS, parameters, strict=True):
            g = out[name]
            grads.append(g.sum(0, keepdim=True) if value.shape[0] == 1 and g.shape[0] > 1 else g)
        return out["q0"], out["v0"], out["control"], *grads

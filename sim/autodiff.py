"""The rollout as a torch function: forward the simulation, backward the implicit adjoint."""

from __future__ import annotations

from typing import Any

import torch

from .model import PARAMETERS

__all__ = ["Rollout"]


class Rollout(torch.autograd.Function):
    """Inputs: simulator, a box for the diagnostics, whether the path is wanted, q0, v0, controls, parameters."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, simulator: Any, box: list, record: bool, q0: torch.Tensor, v0: torch.Tensor, control: torch.Tensor,
        *parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        values = dict(zip(PARAMETERS, parameters, strict=True))
        values["shape_size"] = simulator.model.shape_size
        path_q, path_v, final_q, final_v, diagnostics = simulator.run_forward(q0, v0, control, values, True)
        box.append(diagnostics)
        ctx.simulator = simulator
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(path_q, path_v, control, *parameters)
        if not record:
            ctx.mark_non_differentiable(path_q, path_v)
        return path_q, path_v, final_q, final_v

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *seeds: torch.Tensor | None) -> tuple[Any, ...]:  # noqa: D102
        path_q, path_v, control, *parameters = ctx.saved_tensors
        simulator = ctx.simulator
        values = dict(zip(PARAMETERS, parameters, strict=True))
        values["shape_size"] = simulator.model.shape_size
        names = ("path_q", "path_v", "final_q", "final_v")
        wanted = frozenset(name for name, needs in zip(PARAMETERS, ctx.needs_input_grad[6:], strict=True) if needs)
        out = simulator.run_backward(path_q, path_v, control, values, dict(zip(names, seeds, strict=True)), wanted)
        grads = []
        for name, value in zip(PARAMETERS, parameters, strict=True):
            g = out[name]
            grads.append(g.sum(0, keepdim=True) if value.shape[0] == 1 and g.shape[0] > 1 else g)
        return None, None, None, out["q0"], out["v0"], out["control"], *grads

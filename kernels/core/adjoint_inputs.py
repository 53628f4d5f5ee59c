"""Adjoints of a kernel's parameters, by name."""

from __future__ import annotations

from typing import Any

import warp as wp

__all__ = ["by_name"]


def by_name(kernel: wp.Kernel, **adjoints: wp.array | None) -> list[wp.array | None]:
    """Adjoints of all parameters of a kernel in their order, for ``adj_inputs`` of a launch without ``adj_outputs``.

    Args:
        kernel: The kernel whose adjoint is launched.
        adjoints: By the names of parameters: of inputs, the arrays that are added to; of outputs, the seeds. None for
            all others.

    Raises:
        ValueError: The kernel has no parameter of such a name.
    """
    names: list[Any] = [argument.label for argument in kernel.adj.args]
    unknown = sorted(set(adjoints) - set(names))
    if unknown:
        raise ValueError(f"kernel {kernel.key} has no parameters {unknown}; it has {names}")
    return [adjoints.get(name) for name in names]

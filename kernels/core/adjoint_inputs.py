"""Adjoints of a kernel's parameters, by name."""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

from .struct_arguments import is_struct

__all__ = ["by_name"]


@functools.cache
def _empty(struct: Any) -> Any:
    return struct()


def by_name(kernel: wp.Kernel, **adjoints: wp.array | None) -> list[Any]:
    """Adjoints of all parameters of a kernel in their order, for ``adj_inputs`` of a launch without ``adj_outputs``.

    Args:
        kernel: The kernel whose adjoint is launched.
        adjoints: By the names of parameters: of inputs, the arrays that are added to; of outputs, the seeds. None for
            all others. Structs have none: see ``struct_arguments.with_adjoints``.

    Raises:
        ValueError: The kernel has no parameter of such a name, or it is a struct.
    """
    types: dict[str, Any] = {argument.label: argument.type for argument in kernel.adj.args}
    unknown = sorted(set(adjoints) - set(types))
    if unknown:
        raise ValueError(f"kernel {kernel.key} has no parameters {unknown}; it has {list(types)}")
    structs = sorted(name for name in adjoints if is_struct(types[name]))
    if structs:
        raise ValueError(
            f"parameters {structs} of kernel {kernel.key} are structs, whose adjoints go to the grad of their own "
            "arrays; give the struct made by struct_arguments.with_adjoints as the input"
        )
    return [_empty(kind) if is_struct(kind) else adjoints.get(name) for name, kind in types.items()]

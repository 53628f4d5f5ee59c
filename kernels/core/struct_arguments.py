"""Arrays that belong together as one argument of kernels: Warp structs, filled once and handed to every launch.

The adjoints of a struct's arrays are not those of a second struct: Warp adds them to the ``grad`` of the arrays
themselves. A kernel whose adjoint is launched is therefore given a struct of its own, made by ``with_adjoints``.
"""

from __future__ import annotations

from typing import Any

import warp as wp

__all__ = ["filled", "is_struct", "with_adjoints"]


@wp.struct
class _Example:
    x: int


def is_struct(kind: Any) -> bool:
    """Whether a parameter's type is a struct; Warp does not name the type of those."""
    return isinstance(kind, type(_Example))


def filled(struct: Any, **values: Any) -> Any:
    """A struct of this type with ``values`` by its fields' names.

    Raises:
        ValueError: The fields are not those of the struct.
    """
    if set(values) != set(struct.vars):
        wrong = sorted(set(values) ^ set(struct.vars))
        raise ValueError(f"struct {struct.key} has fields {list(struct.vars)}; these are missing or unknown: {wrong}")
    result = struct()
    for name, value in values.items():
        setattr(result, name, value)
    return result


def with_adjoints(values: Any, **adjoints: wp.array) -> Any:
    """A struct of the same memory as ``values``; adjoints of the fields named are added to the arrays given.

    Raises:
        ValueError: The struct has no field of such a name.
    """
    names = values._cls.vars
    unknown = sorted(set(adjoints) - set(names))
    if unknown:
        raise ValueError(f"struct {values._cls.key} has no fields {unknown}; it has {list(names)}")
    result = values._cls()
    for name in names:
        array = getattr(values, name)
        if name in adjoints:
            array = wp.array(
                ptr=array.ptr, dtype=array.dtype, shape=array.shape, device=array.device, grad=adjoints[name]
            )
        setattr(result, name, array)
    return result

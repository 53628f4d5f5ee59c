"""Torch tensors that pass for those of cuda:0: a mode that sees every function of torch."""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _device

from .faults import is_cuda, refuse, wait
from .streams import CLOCKS, TORCH

CUDA = torch.device("cuda:0")
T = torch.Tensor

MIXES = {
    T.to, T.copy_, T.type_as, T.__getitem__, T.__setitem__, T.index_put_, T.backward, T.expand_as, T.view_as,
    T.reshape_as, T.register_hook, torch.autograd.grad, torch.autograd.backward, torch.empty_like, torch.zeros_like,
    torch.ones_like, torch.full_like, torch.result_type, torch.is_tensor, torch.promote_types,
}  # fmt: skip
"""Operations that take tensors of both devices together."""
WAITS = {
    T.item, T.tolist, T.__bool__, T.__float__, T.__int__, T.__index__, T.__contains__, T.__format__, T.nonzero,
    torch.nonzero, T.unique, torch.unique, torch.equal, T.equal, torch.allclose, T.allclose, T.masked_select,
    torch.masked_select,
}  # fmt: skip
NEUTRAL = {"__get__", "__set__", "as_subclass", "data_ptr", "untyped_storage", "size", "stride", "dim", "numel"}
"""Names of functions that launch nothing."""

recordings = 0
"""How many graphs are being recorded."""


class CudaTensor(torch.Tensor):
    """A CPU tensor that passes for one of cuda:0."""


def mark(x):
    """The same values on cuda:0."""
    if isinstance(x, torch.Tensor):
        return x if isinstance(x, CudaTensor) else x.as_subclass(CudaTensor)
    if type(x) in (list, tuple):
        return type(x)(mark(y) for y in x)
    if isinstance(x, tuple):
        return type(x)(*map(mark, x)) if hasattr(x, "_fields") else type(x)(tuple(map(mark, x)))
    return x


def unmark(x):
    """The same values on the CPU."""
    return x.as_subclass(torch.Tensor) if isinstance(x, CudaTensor) else x


def tensors(args):
    """All tensors in nested arguments."""
    for a in args:
        if isinstance(a, torch.Tensor):
            yield a
        elif isinstance(a, (list, tuple)):
            yield from tensors(a)
        elif isinstance(a, dict):
            yield from tensors(a.values())


def _memory(x) -> int:
    """Where a tensor's memory begins, whatever part of it the tensor shows."""
    return x.untyped_storage().data_ptr()


class CudaMode(TorchFunctionMode):
    """Sees every function of torch before it runs."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        first = args[0] if args else None
        if name == "__get__" and func in PROPERTIES:
            return PROPERTIES[func](isinstance(first, CudaTensor), lambda: func(*args))
        if func is T.get_device:
            return 0 if isinstance(first, CudaTensor) else -1
        if name in NEUTRAL and name != "__set__":
            out = func(*args, **kwargs)
            return mark(out) if isinstance(first, CudaTensor) and name != "as_subclass" else out
        found = list(tensors([args, kwargs]))
        marked = [x for x in found if isinstance(x, CudaTensor)]
        if name == "_has_compatible_shallow_copy_type":  # asked where a module moves
            return len(marked) in (0, len(found)) and func(*args)
        if name == "__deepcopy__":
            return args[1].setdefault(id(first), mark(first.detach().clone().requires_grad_(first.requires_grad)))
        if marked:
            self._check(func, name, args, found, marked)
        out = self._run(func, name, args, kwargs)
        if marked:
            writes = (name.endswith("_") and not name.endswith("__")) or name == "__setitem__"
            views = set() if writes else {_memory(x) for x in tensors([out])}
            for x in marked:
                buffer = CLOCKS.find(_memory(x))
                if buffer is not None and _memory(x) not in views:
                    CLOCKS.use(TORCH, [buffer], name, writes and x is first)
        return out

    def _run(self, func, name, args, kwargs):
        """The function on the CPU, and its result where it belongs."""
        first = args[0] if args else None
        if name in ("to", "cpu", "cuda"):
            return self._moved(func, name, args, kwargs)
        device = kwargs.get("device")
        if device is None and func in _device._device_constructors():
            # torch keeps the mode of its default device below all others: it would ask the CPU's torch for cuda:0
            device = _device.CURRENT_DEVICE
        if is_cuda(device):
            if isinstance(kwargs.get("generator"), torch.Generator):
                refuse(f"{name} on cuda:0 with a generator of the CPU")
            return mark(func(*args, **kwargs | {"device": "cpu"}))
        out = func(*args, **kwargs)
        if kwargs.get("device") is not None:
            return torch.utils._pytree.tree_map(unmark, out)
        if name in ("copy_", "__getitem__"):  # the device of the first
            return mark(out) if isinstance(first, CudaTensor) else out
        return mark(out) if any(isinstance(x, CudaTensor) for x in tensors([args, kwargs])) else out

    def _check(self, func, name, args, found, marked) -> None:
        if recordings and name not in NEUTRAL:
            refuse(f"torch's {name} while a graph is recorded, which does not become part of it")
        if name in ("numpy", "__array__"):
            refuse(f"{name}() of a CUDA tensor")
        plain = [x for x in found if not isinstance(x, CudaTensor) and x.dim() > 0]
        if plain and func not in MIXES and name not in NEUTRAL:
            refuse(
                f"{name} of tensors of cuda:0 and of the CPU, the latter of shapes {[tuple(x.shape) for x in plain]}"
            )
        if name in ("__getitem__", "__setitem__"):
            place = list(tensors([args[1]]))
            if not isinstance(args[0], CudaTensor) and any(isinstance(x, CudaTensor) for x in place):
                refuse("a CPU tensor indexed by one of cuda:0")
            if isinstance(args[0], CudaTensor) and any(x.dtype == torch.bool for x in place):
                wait("index by a mask")
        if func in WAITS:
            wait(name)

    def _moved(self, func, name, args, kwargs):
        """A copy to another device or type, and maybe the tensor itself."""
        source, *rest = args
        if not isinstance(source, torch.Tensor):  # of a module or a generator
            return func(*args, **kwargs)
        target = {"cpu": False, "cuda": True}.get(name, isinstance(source, CudaTensor))
        for i, a in enumerate(rest):
            if isinstance(a, torch.Tensor):
                target = isinstance(a, CudaTensor)
            elif isinstance(a, (str, torch.device)):
                target = is_cuda(a)
                rest[i] = "cpu" if target else a
        if kwargs.get("device") is not None:
            target = is_cuda(kwargs["device"])
            kwargs["device"] = "cpu" if target else kwargs["device"]
        if isinstance(kwargs.get("other"), torch.Tensor):
            target = isinstance(kwargs["other"], CudaTensor)
        if isinstance(source, CudaTensor) and not target:
            wait(f"{name} to the CPU")
        if name == "cuda":
            return mark(source)
        out = func(unmark(source), *map(unmark, rest), **{k: unmark(v) for k, v in kwargs.items()})
        if isinstance(source, CudaTensor) != target and out.data_ptr() == source.data_ptr():
            out = out.clone()  # another device is other memory
        return mark(out) if target else unmark(out)


PROPERTIES = {
    T.device.__get__: lambda there, real: CUDA if there else real(),
    T.is_cuda.__get__: lambda there, real: there,
    T.is_cpu.__get__: lambda there, real: not there and real(),
}


def seen_by_python(function: type) -> None:
    """Gradients come to the backward of a Python function without their device, and outside of the mode."""
    real = function.backward

    def backward(ctx, *seeds):
        if any(isinstance(x, CudaTensor) for x in ctx.saved_tensors):
            with CudaMode():
                return real(ctx, *map(mark, seeds))
        return real(ctx, *seeds)

    function.backward = staticmethod(backward)

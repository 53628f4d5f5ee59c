"""Warp arrays that pass for those of cuda:0, and what is recorded, launched and waited for there."""

import copy

import torch
import warp as wp

from . import tensors
from .faults import is_cuda, refuse, wait
from .streams import CLOCKS, TORCH, WARP

_installed = False


class TorchStream:
    """The current one."""

    def wait_stream(self, other) -> None:
        CLOCKS.wait(TORCH)

    def synchronize(self) -> None:
        wait("torch.cuda.Stream.synchronize")
        CLOCKS.wait(WARP)


class WarpStream:
    """Warp's own, as torch sees it."""

    def wait_stream(self, other) -> None:
        CLOCKS.wait(WARP)

    def synchronize(self) -> None:
        wait("torch.cuda.Stream.synchronize")
        CLOCKS.wait(TORCH)


def install() -> None:
    """From now on there is a device cuda:0."""
    global _installed
    if _installed:
        return
    _installed = True
    wp.init()
    device = copy.copy(wp.get_device("cpu"))
    device.alias = "cuda:0"
    wp._src.context.runtime.device_map |= {"cuda": device, "cuda:0": device}
    real_devices = wp.get_devices
    wp.get_devices = lambda: [*real_devices(), device]
    wp.get_cuda_devices = lambda: [device]
    _torch_side()
    _allocation()
    _launches()
    _recordings()
    tensors.CudaMode().__enter__()


def _torch_side() -> None:
    """Tensors that carom asks torch for, and gradients."""
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.current_stream = lambda device=None: TorchStream()
    torch.cuda.get_device_name = lambda device=None: "fake"
    wp.stream_to_torch = lambda device=None: WarpStream()

    def synchronize(device=None):
        wait("synchronize")
        CLOCKS.both_wait()

    torch.cuda.synchronize = wp.synchronize = wp.synchronize_device = synchronize
    import carom.gradients
    import carom.sim  # noqa: F401  so that their functions are there

    for function in _below(torch.autograd.Function):
        if function.__module__.startswith("carom.") and "backward" in vars(function):
            tensors.seen_by_python(function)


def _below(parent: type) -> set[type]:
    """All classes made from a class, and from those."""
    found = set(parent.__subclasses__())
    return found.union(*map(_below, found))


def _allocation() -> None:
    """Arrays that are made, and those that torch sees."""
    for name in ("zeros", "empty", "full", "ones", "clone", "zeros_like", "empty_like"):
        setattr(wp, name, _making(getattr(wp, name)))
    real_init, real_to_torch, real_numpy = wp.array.__init__, wp.to_torch, wp.array.numpy

    def init(self, data=None, *args, **options):
        real_init(self, data, *args, **options)
        if tensors.recordings and data is not None and is_cuda(self.device):
            refuse("wp.array(data) while a graph is recorded")

    def to_torch(array, *args):
        found = real_to_torch(array, *args)
        if not is_cuda(array.device):
            return found
        CLOCKS.share(array, getattr(array, "made_at", None))
        return tensors.mark(found)

    def numpy(self):
        if not is_cuda(self.device):
            return real_numpy(self)
        if tensors.recordings:
            refuse("numpy() of a Warp array while a graph is recorded: a number cannot be read back then")
        wait("wp.array.numpy")
        _use([self], "numpy()", writes=False)
        return real_numpy(self).copy()

    wp.array.__init__, wp.array.numpy, wp.to_torch = init, numpy, to_torch
    for name in ("zero_", "fill_", "assign"):
        setattr(wp.array, name, _writing(getattr(wp.array, name)))


def _making(real):
    """A function of Warp that allocates."""

    def make(*args, **options):
        array = real(*args, **options)
        if is_cuda(array.device):
            if tensors.recordings:
                refuse(f"wp.{real.__name__} while a graph is recorded")
            CLOCKS.now[WARP] += 1
            array.made_at = CLOCKS.now[WARP]
        return array

    return make


def _writing(real):
    """A method of arrays that writes them."""

    def write(self, *args):
        _use([self], real.__name__)
        return real(self, *args)

    return write


def _arrays(values):
    """All Warp arrays in arguments of a kernel."""
    for value in values:
        if isinstance(value, wp.array):
            yield value
            if value.grad is not None:  # adjoints of a struct's arrays are added there
                yield value.grad
        elif isinstance(value, wp._src.codegen.StructInstance):
            yield from _arrays(getattr(value, name) for name in type(value)._cls.vars)


_met: set = set()
"""Buffers that launches met since the recording began."""


def _use(arrays, what: str, writes: bool = True) -> None:
    """Warp launches something that uses arrays of cuda:0."""
    buffers = {CLOCKS.find(a.ptr) for a in arrays if is_cuda(a.device)} - {None}
    if tensors.recordings:
        _met.update(buffers)
    else:
        CLOCKS.use(WARP, buffers, what, writes)


def _launches() -> None:
    real = wp.launch

    def launch(kernel, dim, inputs=(), outputs=(), adj_inputs=(), adj_outputs=(), device=None, **options):
        arrays = list(_arrays([*inputs, *outputs, *adj_inputs, *adj_outputs]))
        there = is_cuda(device if device is not None else wp.get_device())
        if any(is_cuda(a.device) != there for a in arrays if a.ptr):
            refuse(f"{kernel.key} is launched on {'cuda:0' if there else 'the CPU'} with arrays of another device")
        _use(arrays, kernel.key)
        return real(kernel, dim, inputs, outputs, adj_inputs, adj_outputs, device=device, **options)

    wp.launch = launch
    real_copy = wp.copy

    def copy_(dest, src, *args, **options):
        _use([dest, src], "wp.copy")
        return real_copy(dest, src, *args, **options)

    wp.copy = copy_


def _recordings() -> None:
    real_enter, real_exit, real_launch = wp.ScopedCapture.__enter__, wp.ScopedCapture.__exit__, wp.capture_launch
    real_if = wp.capture_if

    def enter(self):
        result = real_enter(self)
        if is_cuda(self.device):
            tensors.recordings += 1
            _met.clear()
        return result

    def leave(self, *error):
        result = real_exit(self, *error)
        if is_cuda(self.device):
            tensors.recordings -= 1
            if self.graph is not None:
                self.graph.met = set(_met)
        return result

    def launch(graph, *args, **options):
        CLOCKS.use(WARP, getattr(graph, "met", ()), "a graph")
        return real_launch(graph, *args, **options)

    def condition(array, *args, **options):
        if is_cuda(array.device):
            _use([array], "wp.capture_if")
        return real_if(array, *args, **options)

    wp.ScopedCapture.__enter__, wp.ScopedCapture.__exit__ = enter, leave
    wp.capture_launch, wp.capture_if = launch, condition

"""A CUDA device that is not there: torch tensors and Warp arrays "on cuda:0" that lie in the memory of the CPU.

The CPU computes everything, and right. But tensors made on "cuda:0" say so (``device``, ``is_cuda``) and refuse what
CUDA tensors refuse: ``numpy()``, an operation together with a CPU tensor, a CPU generator. Calls that would break a
graph while it is recorded are refused too, and so is a buffer that torch and Warp use on their two streams without an
order between them. So all code for a GPU but the kernels themselves runs on a machine without one: ``pytest
--fake-cuda``.

Refusals are ``FakeCudaError``. Calls that make the host wait for the device are only counted, see ``report``.

What it cannot see: kernels that are wrong on a GPU alone, asynchronous faults, ``torch.func``, other threads than the
one that installed it, and the order between several streams of torch.
"""

from .arrays import install
from .faults import FakeCudaError, report

__all__ = ["FakeCudaError", "install", "report"]

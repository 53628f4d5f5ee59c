"""Every kernel also compiles for CUDA, which needs no GPU: the same code must serve both."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import warp as wp

import carom.kernels


def kernels_of(module, dtype):
    """Kernels of a module's factory; those that know only integers take no dtype, some know several contact laws."""
    parameters = inspect.signature(module.make).parameters
    if any(p.default is p.empty for name, p in parameters.items() if name != "dtype"):
        return {}  # functions for other factories, which say for which law: no kernels of their own
    made = {"": module.make(dtype) if parameters else module.make()}
    if "resists" in parameters:
        made["resisting "] = module.make(dtype, True)
    if "softens" in parameters:
        made["softened "] = module.make(dtype, softens=True)
    found = {law + name: value for law, made_one in made.items() for name, value in vars(made_one).items()}
    return {name: value for name, value in found.items() if isinstance(value, wp.Kernel)}


MODULES = [
    importlib.import_module(info.name) for info in pkgutil.walk_packages(carom.kernels.__path__, "carom.kernels.")
]
KERNELS = [(module, name) for module in MODULES if hasattr(module, "make") for name in kernels_of(module, wp.float32)]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
@pytest.mark.parametrize(("module", "name"), KERNELS, ids=[f"{m.__name__}.{n}" for m, n in KERNELS])
def test_compiles_for_hopper(module, name, dtype, tmp_path):
    kernel = kernels_of(module, dtype)[name]
    wp.compile_aot_module(kernel.module, arch=90, module_dir=str(tmp_path), use_ptx=True)
    (ptx,) = tmp_path.glob("*.ptx")
    assert f".visible .entry {kernel.get_mangled_name()}" in ptx.read_text()

"""carom: batched rigid-body contact simulation with interchangeable gradients.

    import carom

    task = carom.envs.make("push", start="apart")
    print(carom.compare(task).table())

Names are loaded when they are first used, so that ``import carom`` takes no time worth mentioning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .quiet import quiet_warp

if TYPE_CHECKING:
    from . import envs, gradients, jax, optimization, rotations, runs, sim, training, viewer
    from .api.compare import CompareResult, compare
    from .api.diagnose import diagnose
    from .api.optimize import optimize
    from .api.train import train
    from .api.variance import variance
    from .render.animation import animate
    from .sim import STATIC, Model, ModelBuilder, Recording, Simulator, State, load_scene, record
    from .sim.recordings import energy

__all__ = [
    "STATIC",
    "CompareResult",
    "Model",
    "ModelBuilder",
    "Recording",
    "Simulator",
    "State",
    "__version__",
    "animate",
    "compare",
    "diagnose",
    "energy",
    "envs",
    "gradients",
    "jax",
    "load_scene",
    "optimization",
    "optimize",
    "record",
    "rotations",
    "runs",
    "sim",
    "train",
    "training",
    "variance",
    "viewer",
]

_HOME = {
    "CompareResult": ".api.compare",
    "Model": ".sim",
    "STATIC": ".sim",
    "ModelBuilder": ".sim",
    "Recording": ".sim",
    "Simulator": ".sim",
    "State": ".sim",
    "animate": ".render.animation",
    "compare": ".api.compare",
    "diagnose": ".api.diagnose",
    "energy": ".sim",
    "load_scene": ".sim",
    "optimize": ".api.optimize",
    "record": ".sim",
    "train": ".api.train",
    "variance": ".api.variance",
}
_PACKAGES = ("envs", "gradients", "jax", "optimization", "rotations", "runs", "sim", "training", "viewer")

quiet_warp()


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f".{name}", __name__)
    if name in _HOME:
        found = getattr(import_module(_HOME[name], __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

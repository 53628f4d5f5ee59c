"""Only kernels whose adjoint is launched compile a backward pass."""

import importlib
import inspect
import pkgutil

import warp as wp

import carom.kernels

LAUNCHED_BACKWARD = {
    "bodies.integrate.kernel", "contact.face_friction.kernel", "contact.slip_adjoint.contact",
    "restitution.groups.accelerate", "restitution.impact_after.after", "restitution.impact_after.work",
    "restitution.impact_guess.guess", "restitution.impact_guess.part",
    "restitution.impact_law.aim", "restitution.impact_law.approach",
    "restitution.impact_law.law", "restitution.impact_time.gap", "restitution.paths.advance",
    "restitution.paths.finish", "restitution.rest.power", "restitution.rest_start.drive",
    "restitution.rest_start.start",
    "solver.adjoint.actuator", "solver.adjoint.body", "solver.adjoint.contact",
}  # fmt: skip


def kernels():
    """Name and kernel, of factories and of modules."""
    for info in pkgutil.walk_packages(carom.kernels.__path__, "carom.kernels."):
        module, place = importlib.import_module(info.name), info.name.removeprefix("carom.kernels.")
        made = [vars(module)]
        if hasattr(module, "make"):
            parameters = list(inspect.signature(module.make).parameters.values())
            if not any(p.default is p.empty for p in parameters if p.name != "dtype"):
                made.append(vars(module.make(*([wp.float32] if parameters else []))))
        for one in made:
            yield from ((f"{place}.{name}", k) for name, k in one.items() if isinstance(k, wp.Kernel))


def test_only_what_is_launched_backward_compiles_an_adjoint():
    found = dict(kernels())
    assert len(found) > 20
    backward = {
        name for name, k in found.items() if k.options.get("enable_backward", k.module.options["enable_backward"])
    }
    assert backward == LAUNCHED_BACKWARD

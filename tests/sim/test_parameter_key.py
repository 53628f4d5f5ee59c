"""Parameters of the rollout before are not checked again, but numbers that changed are, however they changed."""

from __future__ import annotations

import pytest
import torch
from scenes import sphere_on_ground

from carom.sim import Simulator, StateError
from carom.sim.stepping.parameter_key import parameter_key


def thrown() -> tuple[Simulator, torch.Tensor]:
    """A simulator of a sphere that slides to rest."""
    model = sphere_on_ground().finalize(dtype="float64")
    return Simulator(model, threads=1), model


def final(simulator: Simulator, **parameters: torch.Tensor) -> torch.Tensor:
    state = simulator.model.state()
    state.body_v[:, 0, 0] = 1.0
    return simulator.rollout(state, steps=30, parameters=parameters, record=False).final.body_q


def test_numbers_changed_behind_torchs_back_count() -> None:
    """Through a view of NumPy, which leaves the tensor's version as it is: as a fresh simulator has it."""
    simulator, model = thrown()
    before = final(simulator)
    assert torch.equal(final(simulator), before)
    version = model.shape_friction._version
    model.shape_friction.numpy()[:] = 0.05
    assert model.shape_friction._version == version
    changed = final(simulator)
    assert not torch.equal(changed, before)
    assert torch.equal(changed, final(Simulator(model, threads=1)))


def test_bad_numbers_are_refused_after_good_ones() -> None:
    simulator, model = thrown()
    for _ in range(2):
        final(simulator)
    with pytest.raises(StateError, match="must be positive"):
        final(simulator, body_mass=-model.body_mass)
    model.body_mass.numpy()[:] = -1.0
    with pytest.raises(StateError, match="must be positive"):
        final(simulator)


def test_parameters_of_one_rollout_do_not_stay() -> None:
    """Given once, then not; for all worlds, then one number a world."""
    simulator, model = thrown()
    before = final(simulator)
    light = final(simulator, shape_friction=0.1 * model.shape_friction)
    assert not torch.equal(light, before)
    assert torch.equal(final(simulator), before)
    assert torch.equal(final(simulator, shape_friction=0.1 * model.shape_friction.expand(1, -1).clone()), light)
    assert torch.equal(final(simulator), before)


def test_key_tells_numbers_apart() -> None:
    values = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([[0.0]])}
    assert parameter_key(values) == parameter_key({name: x.clone() for name, x in values.items()})
    assert parameter_key(values) != parameter_key({**values, "b": torch.tensor([[1e-30]])})
    assert parameter_key({**values, "a": values["a"].expand(3, 2)}) is None
    assert parameter_key({**values, "a": torch.zeros(1, 2**14)}) is None

"""A result that is finite and converged but not what was meant is named, not passed over."""

import warnings

import pytest

from carom.sim import ModelBuilder, SimulationWarning, Simulator

H, G = 0.005, 9.81


def loaded(stiffness=None):
    """100 kg on a box of 100 g that stands on the ground."""
    b = ModelBuilder(gravity=(0.0, 0.0, -G))
    b.add_ground(stiffness=stiffness)
    for z, mass, name in ((0.05, 0.1, "light"), (0.15, 100.0, "heavy")):
        body = b.add_body(position=(0.0, 0.0, z), mass=mass, name=name)
        b.add_box(body, (0.05, 0.05, 0.05), stiffness=stiffness, name=name)
    return b.finalize(dtype="float64")


def test_a_heavy_load_on_a_light_body_warns_and_says_how_deep():
    model = loaded()
    with pytest.warns(SimulationWarning, match=r"shapes '(ground|light)' and '(light|heavy)' ended 0\.00\d+ m inside"):
        end = Simulator(model, step=H).rollout(model.state(), steps=1600)
    # 8 s, since the heavy box rings on damping made for the light one; then depth = load over derived stiffness
    depth = 100.1 * G / (0.1 * (2.0 * 3.141592653589793 / H) ** 2)
    assert 0.05 - float(end.final.body_q[0, 0, 2]) == pytest.approx(depth, rel=1e-6)
    assert float(end.diagnostics.penetration[0]) >= depth * (1 - 1e-6)


def test_a_given_stiffness_carries_it_in_silence():
    model = loaded(stiffness=1e7)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SimulationWarning)
        end = Simulator(model, step=H).rollout(model.state(), steps=1600)
    # two equal stiffnesses in series
    assert float(end.diagnostics.penetration[0]) == pytest.approx(100.1 * G / 5e6, rel=1e-3)

"""A model that was written and read runs to the same bits; what is damaged is refused by name."""

import dataclasses

import numpy as np
import pytest
import torch

import carom
from carom.sim import Model, ModelBuilder, ModelError, Simulator


def scene(**options):
    b = ModelBuilder(gravity=(0.1, 0.0, -9.81))
    b.add_ground(friction=0.4)
    for i, add in enumerate((
        lambda body: b.add_box(body, (0.1, 0.05, 0.08)),
        lambda body: b.add_cylinder(body, 0.08, 0.1),
        lambda body: b.add_convex(body, np.random.default_rng(0).normal(size=(12, 3)) * 0.08),
        lambda body: b.add_capsule(body, 0.05, 0.1, rolling_resistance=1e-3),
    )):  # fmt: skip
        body = b.add_body(position=(0.3 * i, 0.0, 0.25), velocity=(0.0, 0.1, 0.0), name=f"part {i}")
        add(body)
    b.add_actuator(0, "x", "position", stiffness=100.0, damping=5.0)
    b.add_actuator(1, "rz", "force")
    return b.finalize(**options)


def ended(model):
    control = torch.full((40, model.worlds, 2), 0.2, dtype=model.dtype)
    return Simulator(model, step=0.01, threads=1).rollout(model.state(), control).final


@pytest.mark.parametrize("options", [{"dtype": "float64"}, {"worlds": 2}])
def test_a_model_that_was_read_is_the_model(tmp_path, options):
    model = scene(**options)
    read = carom.load_scene(model.save(tmp_path / "scene.npz"))
    assert str(read) == str(model)
    for field in dataclasses.fields(Model):
        mine, theirs = getattr(read, field.name), getattr(model, field.name)
        if isinstance(theirs, torch.Tensor):
            assert torch.equal(mine, theirs), field.name
            assert mine.dtype == theirs.dtype
        elif isinstance(theirs, np.ndarray):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
    a, b = ended(model), ended(read)
    assert torch.equal(a.body_q, b.body_q)
    assert torch.equal(a.body_v, b.body_v)
    single = Model.load(tmp_path / "scene.npz", dtype="float32")
    assert single.dtype == torch.float32
    assert single.body_mass.dtype == torch.float32


def test_what_is_no_model_is_named(tmp_path):
    path = scene().save(tmp_path / "scene.npz")
    with np.load(path) as file:
        entries = {name: file[name] for name in file.files}

    def refused(message, **change):
        np.savez(tmp_path / "other.npz", **{k: v for k, v in {**entries, **change}.items() if v is not None})
        with pytest.raises(ModelError, match=message):
            Model.load(tmp_path / "other.npz")

    refused("is not a carom model: it holds", format=np.array("something"))
    refused("of version 9, and this carom reads version 1", version=np.array(9))
    refused("of version none", version=None)
    refused(r"body_mass is float32 \(3,\) instead of finite numbers \(1, 4\)", body_mass=np.ones(3, np.float32))
    refused("shape_friction is", shape_friction=entries["shape_friction"] * np.nan)
    refused("shape_body has numbers outside of -1 to 3", shape_body=entries["shape_body"] + 4)
    refused("mesh 0 names vertices", mesh0_loop=entries["mesh0_loop"] + 50)
    refused("damaged: 'gravity", gravity=None)
    with pytest.raises(ModelError, match="there is no model"):
        Model.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ModelError, match="is not a carom model, or it is damaged"):
        Model.load(tmp_path / "text.npz")
    with pytest.raises(ModelError, match="cannot write the model"):
        scene().save(tmp_path / "no" / "scene.npz")

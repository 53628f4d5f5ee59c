"""Contacts of a larger world eight at a time: rows and the adjoint of their power against Warp's kernels."""

import dataclasses

import numpy as np
import pytest
import torch
import warp as wp
from random_scenes import about, add_shape, quaternion

from carom.kernels.collision.features import SHARE_POLYGON
from carom.kernels.contact import world_contacts
from carom.kernels.solver import adjoint
from carom.sim import ModelBuilder, Simulator
from carom.sim.stepping.world_batch import WorldBatch
from carom.sim.streams import hand_to_torch, hand_to_warp

EPS = {"eps": 1e-3, "angular_eps": 1e-2}
BODIES, WORLDS, CAPACITY = 7, 5, 400
ROWS = ("body_a", "body_b", "normal", "arm_a", "arm_b", "twist", "coefficients")
OUT = (
    "body_q", "body_v0", "body_mass", "shape_friction", "shape_stiffness", "shape_damping", "centre", "pull",
)  # fmt: skip


def batch_of(seed: int, dtype: str, worlds: int = WORLDS, of: slice = slice(None)) -> WorldBatch:
    """Boxes, hulls and a sphere pressed into each other and into the ground, each world turned by a few degrees."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    builder.add_plane()
    for i in range(BODIES):
        place = (0.07 * (i % 2), 0.075 * (i // 2 % 2), 0.045 + 0.085 * (i // 4))
        turn = quaternion(rng) if i % 3 == 0 else about((0, 0, 1), rng.uniform(0, 6))
        body = builder.add_body(position=place, rotation=turn, locked=("z",) if i == 5 else ())
        given = {"stiffness": 3e4, "damping": 40.0} if i in (2, 4) else {}
        kind = ("hull", "box", "box", "mesh", "box", "hull", "sphere")[i]
        add_shape(builder, body, kind, 0.06, rng, friction=0.0 if i == 3 else 0.6, **given)
    model = builder.finalize(dtype=dtype)
    options = Simulator(model, even_faces=True, allow_overlap=True, segment=2, threads=1).options
    batch = WorldBatch(model, options, worlds, CAPACITY)
    batch.add_adjoints()
    state = model.state(WORLDS)
    q = state.body_q.clone()
    noise = np.random.default_rng(seed + 1)
    q[..., :3] += torch.as_tensor(noise.uniform(-2e-3, 2e-3, q[..., :3].shape), dtype=q.dtype)
    q[..., 3:] += torch.as_tensor(noise.normal(size=q[..., 3:].shape) * 0.01, dtype=q.dtype)
    q[..., 3:] /= q[..., 3:].norm(dim=-1, keepdim=True)
    speeds = [torch.as_tensor(noise.normal(size=(WORLDS, BODIES, 6)) * 0.1, dtype=q.dtype) for _ in range(3)]
    hand_to_torch("cpu")
    batch.q_view[0].copy_(q[of])
    batch.v_view[0].copy_(speeds[0][of])
    batch.v_view[1].copy_(speeds[1][of])
    batch.adj_v_view[0].copy_(speeds[2][of])
    hand_to_warp("cpu")
    return batch


def numbers(batch: WorldBatch, monkeypatch: pytest.MonkeyPatch, *, eight: bool) -> dict[str, np.ndarray]:
    """Rows of the contacts of each world, and the adjoints of the power of those that act."""
    with monkeypatch.context() as patch:
        if not eight:
            patch.setattr(world_contacts, "serves", lambda *_: False)
        stage, f, g = batch.stage(), batch.features, batch.adjoints
        assert g is not None
        assert world_contacts.serves(batch.arrays, stage.rows) == eight
        batch.list_contacts(0, stage)
        count = f.count.numpy()
        assert (f.needed.numpy() <= CAPACITY).all()
        found = {
            f"row {name}": np.concatenate([getattr(stage.rows, name).numpy()[w, :n] for w, n in enumerate(count)])
            for name in ROWS
        }
        stage.solver.adjoint(batch.q[0], batch.v[0], batch.v[1], f.count, stage.rows, batch.adj_v[0], g)
        for name in OUT:
            getattr(g, name).zero_()
        # what further solves leave for the first corners of polygons
        begins = (f.share.numpy() == int(SHARE_POLYGON)) & (f.patch_start.numpy() == np.arange(CAPACITY))
        begins &= np.arange(CAPACITY) < count[:, None]
        noise = np.cos(np.arange(4.0 * CAPACITY).reshape(CAPACITY, 4)) * begins[..., None]
        g.centre.assign(noise[..., :3])
        g.pull.assign(0.01 * noise[..., 3])
        adjoint.contact_adjoint(
            batch.real, batch.arrays, batch.q[0], batch.v[0], batch.v[1], f, stage.rows, g, h=batch.options.step, **EPS
        )
        return found | {name: getattr(g, name).numpy().copy() for name in OUT}


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest difference of each kind of number, in parts of the largest number of its kind."""
    return {
        name: float(np.abs(x.astype(float) - other[name]).max() / max(np.abs(x).max(), 1e-30))
        for name, x in one.items()
    }


@pytest.mark.parametrize("seed", range(4))
def test_as_generated(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured: derivatives to 2e-13 of the largest of their kind, rows to 6e-15, and twists to 9e-14."""
    batch = batch_of(seed, "float64")
    one, other = (numbers(batch, monkeypatch, eight=eight) for eight in (False, True))
    f, count = batch.features, batch.features.count.numpy()
    here = np.arange(CAPACITY) < count[:, None]
    active = (batch.adjoints.active.numpy() > 0) & here
    polygon = f.share.numpy() == int(SHARE_POLYGON)
    assert (active & polygon).sum() > 10
    assert (active & ~polygon).sum() > 10
    for name in OUT[:6]:
        assert np.count_nonzero(one[name]) > 5, name
    for name, error in apart(one, other).items():
        assert error < 2e-12, name


def test_kinds_and_blends_occur() -> None:
    """The scenes above list hulls' polygons and crossings, and blends of both."""
    kinds, blends = set(), 0
    for seed in range(4):
        batch = batch_of(seed, "float64")
        batch.list_contacts(0, batch.stage())
        for world, n in enumerate(batch.features.count.numpy()):
            kinds |= set(batch.features.kind.numpy()[world, :n].tolist())
            blends += int((batch.features.blend.numpy()[world, :n] >= 0).sum())
    assert {2, 3, 4, 5} <= kinds
    assert blends > 4


def test_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either way's distance from double precision is of one size."""
    exact = numbers(batch_of(1, "float64"), monkeypatch, eight=True)
    single = batch_of(1, "float32")
    by_eight, generated = (apart(exact, numbers(single, monkeypatch, eight=eight)) for eight in (True, False))
    for name in OUT[:6]:
        assert by_eight[name] < max(3.0 * generated[name], 1e-5), name


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same derivatives of a world by itself and beside others."""
    together = numbers(batch_of(2, dtype), monkeypatch, eight=True)
    for world in (0, 3):
        alone = numbers(batch_of(2, dtype, 1, slice(world, world + 1)), monkeypatch, eight=True)
        for name in OUT:
            np.testing.assert_array_equal(alone[name][0], together[name][world], err_msg=name)


def test_friction_of_a_polygon_against_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Centre and pull of a box tilted on another, whose face the polygon's area is taken against."""
    builder = ModelBuilder()
    lower = builder.add_body(position=(0, 0, 0.05))
    builder.add_box(lower, (0.1, 0.1, 0.05))
    upper = builder.add_body(position=(0.03, 0.02, 0.1299), rotation=about((1, 0.5, 0.2), 0.01))
    builder.add_box(upper, (0.08, 0.06, 0.03))
    model = builder.finalize(dtype="float64")
    options = Simulator(model, even_faces=True, allow_overlap=True, segment=2, threads=1).options
    batch = WorldBatch(model, dataclasses.replace(options, resolve_slip=False), 1, 32)
    batch.add_adjoints()
    stage, f, g = batch.stage(), batch.features, batch.adjoints
    assert g is not None
    start = batch.q.numpy()[0].copy()
    batch.v_view[0].copy_(torch.randn(1, 2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1)
    batch.list_contacts(0, stage)
    n = int(f.count.numpy()[0])
    assert (f.share.numpy()[0, :n] == int(SHARE_POLYGON)).all()
    g.active.fill_(1)
    g.z.assign(np.random.default_rng(3).normal(size=(1, 2, 6)))
    z, v1 = g.z.numpy()[0], np.random.default_rng(4).normal(size=(2, 6)) * 0.01
    batch.v[1].assign(v1[None])

    def power(pose: np.ndarray) -> float:
        """That of the contacts' impulses at ``v1`` along ``z``, by their rows."""
        batch.q[0].assign(pose)
        batch.prepare_rows(0, stage, batch.v[0])
        r = {name: getattr(stage.rows, name).numpy()[0, :n] for name in ROWS}

        def motion(w: np.ndarray) -> np.ndarray:
            a, b = w[r["body_a"]], w[r["body_b"]]
            u = b[:, :3] + np.cross(b[:, 3:], r["arm_b"]) - a[:, :3] - np.cross(a[:, 3:], r["arm_a"])
            return u + r["twist"] * ((b - a)[:, 3:] * r["normal"]).sum(1, keepdims=True)

        u, along, normal = motion(v1), motion(z), r["normal"]
        un = (u * normal).sum(1)
        ut = u - normal * un[:, None]
        s = np.sqrt((ut**2).sum(1) + EPS["eps"] ** 2)
        load, b, mu, s0 = r["coefficients"].T
        load = np.maximum(load - b * (un - mu * (s - s0)), 0.0)
        return float((load[:, None] * (normal - ut * (mu / s)[:, None]) * along).sum())

    assert world_contacts.make(wp.float64)
    differences = np.zeros((2, 7))
    for body in range(2):
        for i in range(7):
            d = np.zeros_like(start)
            d[0, body, i] = 1e-7
            differences[body, i] = (power(start + d) - power(start - d)) / 2e-7
    power(start)
    g.body_q.zero_()
    world_contacts.add_contacts(
        batch.real, batch.arrays, batch.q[0], batch.v[0], batch.v[1], f, stage.rows, g, h=options.step, eps=EPS["eps"]
    )
    np.testing.assert_allclose(g.body_q.numpy()[0], differences, atol=2e-7 * np.abs(differences).max())

"""Recorded contacts and forces against Newton's law, statics and Coulomb's cone; files against what was written."""

import dataclasses

import numpy as np
import pytest
import torch
from scenes import G, box_on_ground, push, push_targets

from carom.sim import ModelBuilder, Recording, RecordingError, Simulator, State, StateError, join_recordings, record

STICTION = 1e-3


def recorded(builder, *, dtype="float64", steps=None, control=None, parameters=None, worlds=1, device="cpu", **options):
    model = builder.finalize(device=device, dtype=dtype)
    simulator = Simulator(model, **options)
    trajectory = simulator.rollout(model.state(worlds), control, parameters, steps=steps)
    return record(simulator, trajectory, control, parameters)


@pytest.fixture(scope="module")
def pushed():
    """An off-centre push, 0.5 s, two worlds that differ in how far; and its targets."""
    targets = push_targets(100, worlds=2)
    targets[:, 1] *= 1.2
    return recorded(push(), control=targets, worlds=2), targets.numpy()


def sums(recording, step, world, body):
    """Force on a body and torque about its centre, contact by contact."""
    centre, force, torque = recording.body_q[step, world, body, :3], np.zeros(3), np.zeros(3)
    listed = recording.contacts(step, world)
    for (a, b), point, f, m in zip(
        recording.contact_body[listed], recording.contact_point[listed], recording.contact_force[listed],
        recording.contact_torque[listed], strict=True,
    ):  # fmt: skip
        for side, sign in ((a, -1.0), (b, 1.0)):
            if side == body:
                force += sign * f
                torque += np.cross(point - centre, sign * f) + sign * m
    return force, torque


def test_forces_are_what_changes_the_momentum(pushed):
    """Every step of the push, both worlds: m dv/h = m g + contacts + springs; the box's yaw likewise."""
    recording, targets = pushed
    h, springs = recording.step_size, (1000.0, 100.0)
    q, v = recording.body_q, recording.body_v
    largest = 0.0
    for world in range(2):
        for t in range(recording.steps):
            on_box, torque = sums(recording, t, world, 0)
            on_pusher, _ = sums(recording, t, world, 1)
            np.testing.assert_allclose((v[t + 1, world, 0, :3] - v[t, world, 0, :3]) / h, on_box - [0, 0, G], atol=1e-8)
            spin = (v[t + 1, world, 0, 5] - v[t, world, 0, 5]) / h
            assert spin * (1.0 * 0.1**2 / 6.0) == pytest.approx(torque[2], abs=1e-9)
            spring = springs[0] * (targets[t, world] - q[t + 1, world, 1, :2]) - springs[1] * v[t + 1, world, 1, :2]
            np.testing.assert_allclose(recording.actuator_force[t, world], spring, atol=1e-8)
            change = (v[t + 1, world, 1, :2] - v[t, world, 1, :2]) / h
            np.testing.assert_allclose(change, on_pusher[:2] + spring, atol=1e-8)
            np.testing.assert_allclose(recording.contact_wrench()[t, world, 0], [*on_box, *torque], atol=1e-12)
            largest = max(largest, np.linalg.norm(on_pusher))
    assert largest > 2.0  # it was pushed


def test_forces_stay_in_the_friction_cone_and_on_it_while_sliding(pushed):
    recording, _ = pushed
    n, f = recording.contact_normal, recording.contact_force
    np.testing.assert_allclose(np.linalg.norm(n, axis=1), 1.0, atol=1e-12)
    normal = (n * f).sum(axis=1)
    tangential = np.linalg.norm(f - normal[:, None] * n, axis=1)
    assert (normal >= 0.0).all()
    assert (tangential <= 0.5 * normal).all()
    listed = recording.contacts(60)
    table = recording.contact_body[listed].min(axis=1) == -1
    # |ft| = mu fn u/sqrt(u^2 + eps^2), and every corner slides with a tenth of a metre a second
    np.testing.assert_allclose(tangential[listed][table], 0.5 * normal[listed][table], rtol=STICTION**2 / 0.05**2)


def test_what_rests_is_carried_in_every_world():
    """Two hulls on each other: the lower contacts carry both weights, the upper ones one, at the sinking of statics."""
    b = ModelBuilder()
    b.add_ground(name="table")
    corners = np.array([[x, y, z] for x in (-0.03, 0.03) for y in (-0.03, 0.03) for z in (-0.02, 0.02)])
    for i in range(2):
        body = b.add_body(position=(0.0, 0.0, 0.02 + 0.04 * i), mass=0.1, name=f"slab {i}")
        b.add_convex(body, corners)
    mass = torch.tensor([[0.1, 0.1], [0.1, 0.3], [0.2, 0.1]], dtype=torch.float64)
    recording = recorded(b, steps=150, parameters={"body_mass": mass}, worlds=3)
    for world in range(3):
        listed = recording.contacts(149, world)
        bodies = recording.contact_body[listed]
        lower = (bodies == -1).any(axis=1)
        assert lower.sum() == 4
        pairs = (
            (lower, mass[world].sum(), mass[world, 0]),
            (~lower, mass[world, 1], mass[world].prod() / mass[world].sum()),
        )
        for part, load, effective in pairs:
            up = np.where(bodies[part, 1:] == bodies[part].max(axis=1, keepdims=True), 1.0, -1.0)
            total = (up * recording.contact_force[listed][part]).sum(axis=0)
            np.testing.assert_allclose(total, [0.0, 0.0, G * load], atol=1e-6)
            # a period of one step for the pair's effective mass
            depth = G * load / effective * (recording.step_size / (2.0 * np.pi)) ** 2
            np.testing.assert_allclose(recording.contact_gap[listed][part], -depth, rtol=1e-4)
        point = recording.contact_point[listed][lower]
        np.testing.assert_allclose(point[:, 2], 0.0, atol=-1.01 * recording.contact_gap[listed][lower].min())
        np.testing.assert_allclose(np.abs(point[:, :2]), 0.03, atol=1e-6)


def test_no_contact_before_the_fall_ends():
    """Dropped from 5 cm: the first contact is listed in the step that begins where the gap is used up."""
    recording = recorded(box_on_ground(lift=0.05), steps=30, step=0.005)
    first = next(t for t in range(30) if recording.contacts(t).stop > recording.contacts(t).start)
    fall = [G * 0.005**2 * t * (t + 1) / 2 for t in range(30)]  # after t steps, in this scheme
    gap = 0.05 - fall[first]
    assert gap > 0.0
    assert gap < 0.005 * G * 0.005 * first * 2.0  # it would be passed within two steps
    np.testing.assert_allclose(recording.contact_gap[recording.contacts(first)], gap, rtol=1e-9)
    with pytest.raises(IndexError, match="step 30"):
        recording.contacts(30)


def test_single_precision_gives_the_same_forces(device):
    """To the solver's tolerance of 1e-4 of the momentum change."""
    one, two = (recorded(push(), control=push_targets(100), dtype=d, device=device) for d in ("float32", "float64"))
    assert one.contact_force.dtype == np.float32
    difference = np.abs(one.contact_wrench() - two.contact_wrench()).max()
    assert difference < 2e-3 * np.abs(two.contact_wrench()).max()


def test_a_trajectory_of_another_run_is_refused():
    model = push().finalize(device="cpu", dtype="float64")
    simulator, targets = Simulator(model), push_targets(20)
    trajectory = simulator.rollout(model.state(), targets)
    with pytest.raises(StateError, match="same control and parameters"):
        record(simulator, trajectory, targets + 0.01)
    with pytest.raises(StateError, match="same control and parameters"):
        record(simulator, trajectory, targets, {"body_mass": 1.1 * model.body_mass})
    with pytest.raises(StateError, match="record=True"):
        record(simulator, simulator.rollout(model.state(), targets, record=False), targets)
    with pytest.raises(StateError, match="no steps"):
        record(simulator, simulator.rollout(model.state(), targets[:0]), targets[:0])


def test_a_file_gives_back_what_was_written(pushed, tmp_path):
    recording = pushed[0]
    path = recording.save(tmp_path / "run.npz")
    back = Recording.load(path)
    for field in dataclasses.fields(Recording):
        ours, theirs = getattr(recording, field.name), getattr(back, field.name)
        assert type(ours) is type(theirs), field.name
        np.testing.assert_array_equal(ours, theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype, field.name
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.npz"]
    with np.load(path, allow_pickle=False) as plain:  # without carom
        assert str(plain["body_names"][0]) == "box"


def test_files_that_are_no_recording_are_refused(pushed, tmp_path):
    good = pushed[0].save(tmp_path / "good.npz")
    (tmp_path / "text.npz").write_text("not a zip file")
    (tmp_path / "cut.npz").write_bytes(good.read_bytes()[:5000])
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "pickle.npz", format=np.array([{}], dtype=object))
    with np.load(good) as file:
        entries = dict(file)
    np.savez(tmp_path / "newer.npz", **(entries | {"version": np.array(99)}))
    entries.pop("contact_gap")
    np.savez(tmp_path / "short.npz", **entries)
    for name, words in {
        "none.npz": "no recording",
        "text.npz": "not a carom recording",
        "cut.npz": "damaged",
        "other.npz": "holds weights",
        "array.npy": "not a carom recording",
        "pickle.npz": "not a carom recording",
        "newer.npz": "version 99",
        "short.npz": "'contact_gap' is missing",
    }.items():
        with pytest.raises(RecordingError, match=words):
            Recording.load(tmp_path / name)


def test_a_file_that_cannot_be_written_leaves_nothing(pushed, tmp_path):
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "none" / "run.npz", tmp_path / "taken"):
        with pytest.raises(RecordingError, match="cannot write"):
            pushed[0].save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_two_halves_joined_are_the_whole(pushed):
    whole, targets = pushed
    simulator = Simulator(push().finalize(device="cpu", dtype="float64"))
    targets = torch.from_numpy(targets)
    parts, state = [], simulator.model.state(2)
    for half in targets.split(50):
        trajectory = simulator.rollout(state, half)
        parts.append(record(simulator, trajectory, half))
        state = State(trajectory.final.body_q, trajectory.final.body_v)
    joined = join_recordings(parts)
    for field in dataclasses.fields(Recording):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(whole, field.name), err_msg=field.name)
    with pytest.raises(RecordingError, match="recording 1 is not of the scene"):
        join_recordings([whole, recorded(box_on_ground(), steps=2)])


def test_rounding_of_a_large_momentum_is_not_taken_for_another_run():
    """10 m/s in float32, changed by a tenth of its rounding in each step; a force that was not there is still seen."""
    builder = ModelBuilder(gravity=(0.0, 0.0, 0.0))
    ball = builder.add_body(position=(0.0, 0.0, 0.0), velocity=(10.0, 3.0, 0.0), mass=1.0, name="ball")
    builder.add_sphere(ball, radius=0.05)
    builder.add_actuator(ball, "x", "force")
    simulator = Simulator(builder.finalize(dtype="float32"), step=1e-3)
    control = torch.full((20, 1, 1), 1e-4)
    trajectory = simulator.rollout(simulator.model.state(1), control)
    assert record(simulator, trajectory, control).steps == 20
    with pytest.raises(StateError, match="does not change by the forces found in step 0"):
        record(simulator, trajectory, control + 1.0)

"""Adjoints of a step's inputs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import warp as wp

from .model_arrays import ModelArrays
from .precision import precision
from .struct_arguments import with_adjoints

__all__ = ["Adjoints"]


@dataclass(frozen=True)
class Adjoints:
    """Adjoints of a step's inputs, added to; and what the adjoint pass writes for itself.

    Frozen, since the structs ``bodies``, ``surfaces`` and ``actuators`` are filled once.
    """

    model: ModelArrays
    body_q: wp.array  # transform [W, B]
    body_v0: wp.array  # spatial [W, B]
    control: wp.array  # [W, A]
    gravity: wp.array  # vec3 [W]
    body_mass: wp.array  # [W, B]
    body_inertia: wp.array  # mat33 [W, B]
    shape_friction: wp.array  # [W, S]
    shape_stiffness: wp.array  # [W, S]
    shape_damping: wp.array  # [W, S]
    shape_restitution: wp.array  # [W, S]
    shape_rolling_resistance: wp.array  # [W, S]
    shape_torsional_resistance: wp.array  # [W, S]
    actuator_stiffness: wp.array  # [W, A]
    actuator_damping: wp.array  # [W, A]
    centre: wp.array  # vec3 [W, C]; of ``ContactRows``, as pull: zero between launches
    pull: wp.array  # [W, C]
    z: wp.array  # spatial [W, B]
    active: wp.array  # int32 [W, C]
    contact_power: wp.array  # [W, C]
    contact_seed: wp.array  # [W, C], ones
    body_power: wp.array  # [W, B]
    body_seed: wp.array  # [W, B], ones
    actuator_power: wp.array  # [W, A]
    actuator_seed: wp.array  # [W, A], ones

    @classmethod
    def allocate(cls, model: ModelArrays, capacity: int, dtype: Any) -> Adjoints:
        """Zero adjoints for ``model``."""
        p = precision(dtype)
        worlds, bodies = model.body_mass.shape
        device = model.body_mass.device
        actuators = model.actuator_stiffness.shape

        def zeros(shape: tuple[int, ...], kind: Any) -> wp.array:
            return wp.zeros(shape, dtype=kind, device=device)

        def ones(shape: tuple[int, ...]) -> wp.array:
            return wp.ones(shape, dtype=p.scalar, device=device)

        contacts = (worlds, capacity)
        return cls(
            model=model,
            body_q=zeros((worlds, bodies), p.transform),
            body_v0=zeros((worlds, bodies), p.spatial),
            control=zeros(actuators, p.scalar),
            gravity=zeros((worlds,), p.vec3),
            body_mass=zeros((worlds, bodies), p.scalar),
            body_inertia=zeros((worlds, bodies), p.mat33),
            shape_friction=zeros(model.shape_friction.shape, p.scalar),
            shape_stiffness=zeros(model.shape_friction.shape, p.scalar),
            shape_damping=zeros(model.shape_friction.shape, p.scalar),
            shape_restitution=zeros(model.shape_friction.shape, p.scalar),
            shape_rolling_resistance=zeros(model.shape_friction.shape, p.scalar),
            shape_torsional_resistance=zeros(model.shape_friction.shape, p.scalar),
            actuator_stiffness=zeros(actuators, p.scalar),
            actuator_damping=zeros(actuators, p.scalar),
            centre=zeros(contacts, p.vec3),
            pull=zeros(contacts, p.scalar),
            z=zeros((worlds, bodies), p.spatial),
            active=zeros(contacts, wp.int32),
            contact_power=zeros(contacts, p.scalar), contact_seed=ones(contacts),
            body_power=zeros((worlds, bodies), p.scalar), body_seed=ones((worlds, bodies)),
            actuator_power=zeros(actuators, p.scalar), actuator_seed=ones(actuators),
        )  # fmt: skip

    @functools.cached_property
    def bodies(self) -> Any:
        """The model's struct ``Bodies``, whose adjoints are added to these."""
        return with_adjoints(
            self.model.bodies, mass=self.body_mass, inertia=self.body_inertia, gravity=self.gravity
        )  # fmt: skip

    @functools.cached_property
    def surfaces(self) -> Any:
        """The model's struct ``Surfaces``, whose adjoints are added to these."""
        return with_adjoints(
            self.model.surfaces, friction=self.shape_friction, stiffness=self.shape_stiffness,
            damping=self.shape_damping, restitution=self.shape_restitution,
            rolling_resistance=self.shape_rolling_resistance, torsional_resistance=self.shape_torsional_resistance,
        )  # fmt: skip

    @functools.cached_property
    def actuators(self) -> Any:
        """The model's struct ``Actuators``, whose adjoints are added to these."""
        return with_adjoints(
            self.model.actuators, stiffness=self.actuator_stiffness, damping=self.actuator_damping
        )  # fmt: skip

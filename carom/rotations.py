"""Unit quaternions from angles; see ``carom.sim.rotations``."""

from .sim.rotations import axis_angle, compose, euler, rotate, yaw

__all__ = ["axis_angle", "compose", "euler", "rotate", "yaw"]

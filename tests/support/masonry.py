"""Walls and arches that several tests build. Every function returns a ``ModelBuilder``; SI units throughout."""

import itertools
import math

import numpy as np
from scenes import about

from carom.sim import STATIC, ModelBuilder

BRICK = (0.1, 0.05, 0.03)
"""Half extents of a brick: 20 x 10 x 6 cm."""


def corners(half):
    return np.array(list(itertools.product([-1.0, 1.0], repeat=3))) * half


def add_brick(b, body, half, kind, **options):
    """A brick as a "box" or as the "hull" of its corners."""
    if kind == "box":
        return b.add_box(body, half, **options)
    return b.add_convex(body, corners(half), **options)


def wall(courses=6, length=5, kind="box", friction=0.55, gap=1e-3, jitter=0.0, seed=0):
    """A wall in running bond, exactly touching courses: a half brick begins every other course and ends the others.

    Args:
        courses: Courses of ``length`` bricks each, the half one counted.
        length: Bricks a course.
        kind: "box" or "hull".
        friction: Of everything.
        gap: Between neighbours of a course [m].
        jitter: Bricks are shifted by up to this [m] and turned about the vertical by up to this a metre; below gap / 3.
        seed: Of the jitter.
    """
    b = ModelBuilder()
    b.add_ground(friction=friction)
    rng = np.random.default_rng(seed)
    for course in range(courses):
        x = 0.0
        for k in range(length):
            half = BRICK if k != (0 if course % 2 else length - 1) else (BRICK[0] / 2 - gap / 4, *BRICK[1:])
            dx, dy, turn = jitter * rng.uniform(-1, 1, 3)
            place = (x + half[0] + dx, dy, BRICK[2] * (2 * course + 1))
            body = b.add_body(position=place, rotation=about((0, 0, 1), turn))
            add_brick(b, body, half, kind, friction=friction)
            x += 2 * half[0] + gap
    return b


def arch(thickness, wedges=11, radius=0.5, depth=0.2, friction=0.7, span=math.pi, clearance=0.0):
    """A circular arch of equal wedges between two static abutments, its springings level for a span of pi.

    Args:
        thickness: Of the ring, as a part of its mean radius.
        wedges: Number of voussoirs.
        radius: Mean radius R [m].
        depth: Width across the plane of the arch [m].
        friction: Of wedges and abutments.
        span: Angle of the whole arch [rad].
        clearance: Angle by which each wedge is narrower than its share [rad].
    """
    b = ModelBuilder()
    inner, outer = radius * (1 - thickness / 2), radius * (1 + thickness / 2)
    edges = 0.5 * math.pi + span * (np.arange(wedges + 1) / wedges - 0.5)

    def voussoir(low, high):
        angles = np.array([low, high])
        return np.array(
            [(r * np.cos(a), y, r * np.sin(a)) for r in (inner, outer) for a in angles for y in (-depth / 2, depth / 2)]
        )

    for low, high in ((edges[0] - 0.2, edges[0]), (edges[-1], edges[-1] + 0.2)):
        b.add_convex(STATIC, voussoir(low, high), friction=friction)
    for low, high in itertools.pairwise(edges):
        body = b.add_body()
        b.add_convex(body, voussoir(low + clearance / 2, high - clearance / 2), friction=friction)
    return b

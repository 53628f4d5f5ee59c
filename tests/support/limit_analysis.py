"""Limit analysis of masonry arches: whether forces in the joints exist that hold every wedge in equilibrium.

Rigid wedges, joints without tension, Coulomb friction: a linear program in the forces at the corners of the joints
(Livesley, "Limit analysis of structures formed from rigid blocks", 1978; statics alone, no simulation).
"""

import math

import numpy as np
from scipy.optimize import linprog


def arch_stands(thickness, wedges, friction, span=math.pi):
    """Whether the arch of ``masonry.arch`` (its radius is of no account) can stand under its own weight."""
    edges = 0.5 * math.pi + span * (np.arange(wedges + 1) / wedges - 0.5)
    radii = 1 - thickness / 2, 1 + thickness / 2
    balance, tangential = np.zeros((3 * wedges, 4 * wedges + 4)), np.zeros((4 * wedges + 4, 4 * wedges + 4))
    for joint, a in enumerate(edges):
        radial, along = np.array([math.cos(a), math.sin(a)]), np.array([-math.sin(a), math.cos(a)])
        for corner, r in enumerate(radii):
            normal = 4 * joint + 2 * corner
            for column, direction in ((normal, along), (normal + 1, radial)):
                x, z = r * radial
                moment = x * direction[1] - z * direction[0]
                for wedge, sign in ((joint, 1.0), (joint - 1, -1.0)):
                    if 0 <= wedge < wedges:
                        balance[3 * wedge : 3 * wedge + 3, column] += sign * np.array([*direction, moment])
            tangential[normal, normal + 1], tangential[normal + 1, normal + 1] = 1.0, -1.0
            tangential[normal : normal + 2, normal] = -friction
    half = 0.5 * span / wedges
    middle = np.array([radii[1] * math.cos(half), radii[0] * math.cos(half)])  # of the two chords that bound a wedge
    breadth = np.array([radii[1] * math.sin(half), radii[0] * math.sin(half)])
    areas = middle * breadth  # of the triangles from the centre of the arch
    centre = (areas * middle * 2 / 3) @ [1, -1] / (areas @ [1, -1])
    load = np.zeros(3 * wedges)
    load[1::3] = 1.0
    load[2::3] = centre * np.cos(0.5 * (edges[1:] + edges[:-1]))
    bounds = [(0, None), (None, None)] * (2 * wedges + 2)
    limits = np.zeros(len(tangential))
    answer = linprog(np.zeros(len(bounds)), tangential, limits, balance, load, bounds, method="highs")
    return answer.status == 0


def least(stands, low, high, halvings=20):
    """The least value in (low, high) at which a structure stands."""
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if stands(middle) else (middle, high)
    return high

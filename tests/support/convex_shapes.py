"""Points of convex polyhedra that several tests share, all about 0.1 m large."""

import itertools

import numpy as np

GOLDEN = (1 + 5**0.5) / 2


def box(half=(0.1, 0.08, 0.06)):
    return np.array(list(itertools.product([-1.0, 1.0], repeat=3))) * half


def tetrahedron(size=0.1):
    return size * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)


def icosahedron(size=0.06):
    return size * np.array([np.roll([0.0, i, j * GOLDEN], k) for i in (-1, 1) for j in (-1, 1) for k in range(3)])


def dodecahedron(size=0.07):
    rest = [np.roll([0.0, i / GOLDEN, j * GOLDEN], k) for i in (-1, 1) for j in (-1, 1) for k in range(3)]
    return size * np.concatenate([list(itertools.product([-1.0, 1.0], repeat=3)), rest])


def wedge():
    """A thin wedge: 20 cm long, 10 cm wide, 2 cm thick at its back."""
    return np.array([[x, y, z] for y in (-0.05, 0.05) for x, z in ((-0.1, 0.0), (0.1, 0.0), (0.1, 0.02))])


def cloud(seed=0, count=24):
    """Points on a random ellipsoid."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True) * rng.uniform(0.06, 0.12, 3)

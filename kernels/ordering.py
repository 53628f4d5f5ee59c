"""The order in which the bodies of a world are eliminated, and the envelope of the Hessian that it leaves.

Bodies that touch should be near each other in the order: then each row of the Hessian starts late, and its Cholesky
factor, which fills only from there on, stays cheap. Reverse Cuthill-McKee: breadth first through the contact graph,
each component from a body of least degree, in reverse (George and Liu, "Computer Solution of Large Sparse Positive
Definite Systems", 1981).
"""

import functools
from types import SimpleNamespace

import warp as wp

from .arrays import ModelArrays, Rows, Scratch

__all__ = ["arrange", "make"]


@functools.cache
def make() -> SimpleNamespace:
    """The kernel; it knows only integers."""

    @wp.kernel(enable_backward=False, module="unique")
    def arrange_kernel(
        # model
        free_axis: wp.array(dtype=int),
        # state in
        count: wp.array(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        # scratch
        queue: wp.array2d(dtype=int), degree: wp.array2d(dtype=int),
        # out
        dof_index: wp.array2d(dtype=int), first: wp.array2d(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        bodies = queue.shape[1]
        contacts = count[world]
        for body in range(bodies):
            degree[world, body] = 0
        for c in range(contacts):
            a = row_a[world, c]
            b = row_b[world, c]
            if a >= 0 and b >= 0:
                degree[world, a] = degree[world, a] + 1
                degree[world, b] = degree[world, b] + 1
        # breadth first; a body that is in the queue has a degree of -1
        head = int(0)
        tail = int(0)
        while tail < bodies:
            start = int(-1)
            for body in range(bodies):
                d = degree[world, body]
                if d >= 0:
                    if start < 0:
                        start = body
                    elif d < degree[world, start]:
                        start = body
            queue[world, tail] = start
            degree[world, start] = -1
            tail += 1
            while head < tail:
                here = queue[world, head]
                head += 1
                for c in range(contacts):
                    other = int(-1)
                    if row_a[world, c] == here:
                        other = row_b[world, c]
                    elif row_b[world, c] == here:
                        other = row_a[world, c]
                    if other >= 0:
                        if degree[world, other] >= 0:
                            queue[world, tail] = other
                            degree[world, other] = -1
                            tail += 1
        # number the free axes in reverse; degree now holds each body's first one
        n = int(0)
        for i in range(bodies):
            body = queue[world, bodies - 1 - i]
            begin = n
            degree[world, body] = begin
            for axis in range(6):
                k = 6 * body + axis
                if free_axis[k] >= 0:
                    dof_index[world, k] = n
                    first[world, n] = begin
                    n += 1
                else:
                    dof_index[world, k] = -1
        for c in range(contacts):
            a = row_a[world, c]
            b = row_b[world, c]
            if a >= 0 and b >= 0:
                early = a
                late = b
                if degree[world, b] < degree[world, a]:
                    early = b
                    late = a
                begin = degree[world, early]
                for axis in range(6):
                    row = dof_index[world, 6 * late + axis]
                    if row >= 0:
                        first[world, row] = wp.min(first[world, row], begin)

    return SimpleNamespace(kernel=arrange_kernel)


def arrange(model: ModelArrays, count: wp.array, rows: Rows, scratch: Scratch) -> None:
    """Fill ``scratch.dof_index`` [W, 6 B] and ``scratch.first`` [W, n] from the contacts listed in ``rows``."""
    wp.launch(
        make().kernel,
        dim=count.shape[0],
        inputs=[model.dof_index, count, rows.body_a, rows.body_b, scratch.queue, scratch.degree],
        outputs=[scratch.dof_index, scratch.first],
        device=count.device,
    )

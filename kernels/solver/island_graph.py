"""The contact graph of every world: islands that do not touch each other, and an order of elimination within each.

Bodies are nodes; two that have a contact with each other that may act are joined. Contacts come grouped by pair of
bodies (detection walks pairs), and each group is an *edge*. Bodies that no chain of contacts joins form separate
*islands*, whose energies have nothing in common. The order of elimination is that of minimum degree (Tinney and
Walker, "Direct solutions of sparse network equations", Proc. IEEE 55, 1967): each elimination joins the neighbours of
a body to each other, and the pattern that results is that of the Cholesky factor in blocks of a body each.

Bodies without a free axis are left out, like static geometry. Only integers; works for any precision.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.struct_arguments import filled

__all__ = ["GraphArrays", "make"]


@dataclass(frozen=True)
class GraphArrays:
    """Graph of W worlds of B bodies and at most C contacts, all int32. N: blocks under the diagonal, B (B - 1)/2.

    Frozen, since ``struct`` is filled once.
    """

    islands: wp.array  # [W]
    island_body: wp.array  # [W, B + 1]: where each island starts in ``order``
    island_edge: wp.array  # [W, B + 1]: where each island starts in ``edge_order``
    order: wp.array  # [W, B]: bodies, island after island, each in the order of elimination
    label: wp.array  # [W, B]: island of each body, -1 for bodies without a free axis
    column: wp.array  # [W, B]: where each body's column starts in ``below``
    height: wp.array  # [W, B]: blocks of each body's column below the diagonal
    below: wp.array  # [W, N]: bodies of those blocks, in the order of elimination; the index is the block's slot
    slot: wp.array  # [W, B B]: slot of the block of two bodies, -1 if it is zero
    edges: wp.array  # [W]
    edge_i: wp.array  # [W, C]: one body of each edge, never -1
    edge_j: wp.array  # [W, C]: the other one, -1 if it does not move
    edge_start: wp.array  # [W, C]: first contact of each edge
    edge_end: wp.array  # [W, C]: the one after its last
    edge_order: wp.array  # [W, C]: edges, island after island
    awake: wp.array  # [W, C]: contacts that may act; the others join nothing
    acts: wp.array  # [W, C]: contacts that act, while a solve goes on
    degree: wp.array  # [W, B], scratch
    rank: wp.array  # [W, B], scratch
    cursor: wp.array  # [W, B + 1], scratch

    @functools.cached_property
    def struct(self) -> Any:
        """The struct ``Graph`` of these arrays."""
        struct = make().Graph
        return filled(struct, **{name: getattr(self, name) for name in struct.vars})

    @classmethod
    def allocate(cls, worlds: int, bodies: int, capacity: int, device: Any) -> "GraphArrays":
        """Empty graphs."""
        blocks = max(1, bodies * (bodies - 1) // 2)

        def ints(*tail: int) -> wp.array:
            return wp.zeros((worlds, *tail), dtype=wp.int32, device=device)

        return cls(
            islands=ints(), island_body=ints(bodies + 1), island_edge=ints(bodies + 1), order=ints(bodies),
            label=ints(bodies), column=ints(bodies), height=ints(bodies), below=ints(blocks),
            slot=wp.full((worlds, bodies * bodies), -1, dtype=wp.int32, device=device),
            edges=ints(), edge_i=ints(capacity), edge_j=ints(capacity), edge_start=ints(capacity),
            edge_end=ints(capacity), edge_order=ints(capacity), awake=ints(capacity), acts=ints(capacity),
            degree=ints(bodies), rank=ints(bodies), cursor=ints(bodies + 1),
        )  # fmt: skip


@functools.cache
def make() -> SimpleNamespace:
    """The struct ``Graph`` and the function ``arrange``."""

    @wp.struct
    class Graph:
        """Graphs; fields as in ``GraphArrays``."""

        islands: wp.array(dtype=int)
        island_body: wp.array2d(dtype=int)
        island_edge: wp.array2d(dtype=int)
        order: wp.array2d(dtype=int)
        label: wp.array2d(dtype=int)
        column: wp.array2d(dtype=int)
        height: wp.array2d(dtype=int)
        below: wp.array2d(dtype=int)
        slot: wp.array2d(dtype=int)
        edges: wp.array(dtype=int)
        edge_i: wp.array2d(dtype=int)
        edge_j: wp.array2d(dtype=int)
        edge_start: wp.array2d(dtype=int)
        edge_end: wp.array2d(dtype=int)
        edge_order: wp.array2d(dtype=int)
        awake: wp.array2d(dtype=int)
        acts: wp.array2d(dtype=int)
        degree: wp.array2d(dtype=int)
        rank: wp.array2d(dtype=int)
        cursor: wp.array2d(dtype=int)

    @wp.func
    def forget(g: Graph, world: int, bodies: int):
        """Clear the blocks of the last graph."""
        for body in range(bodies):
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                other = g.below[world, s]
                g.slot[world, body * bodies + other] = -1
                g.slot[world, other * bodies + body] = -1

    @wp.func
    def list_edges(
        g: Graph, world: int, bodies: int, contacts: int, row_a: wp.array2d(dtype=int),
        row_b: wp.array2d(dtype=int),
    ):  # fmt: skip
        """Group consecutive contacts of the same bodies, where any is awake. Bodies left out have a degree of -1."""
        n = int(0)
        start = int(0)
        while start < contacts:
            a = row_a[world, start]
            b = row_b[world, start]
            end = int(start)
            awake = int(0)
            same = int(1)
            while same == 1:
                awake = wp.max(awake, g.awake[world, end])
                end += 1
                same = int(0)
                if end < contacts:
                    c = row_a[world, end]
                    d = row_b[world, end]
                    if (c == a and d == b) or (c == b and d == a):
                        same = int(1)
            if awake == 1:
                for c in range(start, end):
                    g.awake[world, c] = 1
                if a >= 0:
                    if g.degree[world, a] < 0:
                        a = int(-1)
                if b >= 0:
                    if g.degree[world, b] < 0:
                        b = int(-1)
                if a < 0:
                    a = b
                    b = int(-1)
                if a >= 0:  # contacts of two that do not move join nothing
                    g.edge_i[world, n] = a
                    g.edge_j[world, n] = b
                    g.edge_start[world, n] = start
                    g.edge_end[world, n] = end
                    n += 1
                if a >= 0 and b >= 0:
                    if g.slot[world, a * bodies + b] < 0:
                        g.slot[world, a * bodies + b] = 0
                        g.slot[world, b * bodies + a] = 0
                        g.degree[world, a] = g.degree[world, a] + 1
                        g.degree[world, b] = g.degree[world, b] + 1
            start = end
        g.edges[world] = n

    @wp.func
    def eliminate(g: Graph, world: int, bodies: int):
        """Fill ``order``, ``rank``, ``column``, ``height``, ``below``; returns how many bodies take part."""
        blocks = int(0)
        done = int(0)
        for body in range(bodies):  # those that touch nothing are the first, and change nothing
            if g.degree[world, body] == 0:
                g.degree[world, body] = -1
                g.order[world, done] = body
                g.rank[world, body] = done
                g.column[world, body] = 0
                g.height[world, body] = 0
                done += 1
        searching = int(1)
        while searching == 1:
            body = int(-1)
            least = int(1 << 30)
            for b in range(bodies):
                d = g.degree[world, b]
                if d >= 0 and d < least:
                    least = d
                    body = b
            if body < 0:
                searching = 0
            else:
                g.degree[world, body] = -1
                g.order[world, done] = body
                g.rank[world, body] = done
                done += 1
                g.column[world, body] = blocks
                if least > 0:
                    for b in range(bodies):
                        if g.slot[world, body * bodies + b] >= 0:
                            if g.degree[world, b] >= 0:
                                g.below[world, blocks] = b
                                blocks += 1
                start = g.column[world, body]
                g.height[world, body] = blocks - start
                for i in range(start, blocks):
                    p = g.below[world, i]
                    g.degree[world, p] = g.degree[world, p] - 1
                for i in range(start, blocks):
                    p = g.below[world, i]
                    for j in range(i + 1, blocks):
                        q = g.below[world, j]
                        if g.slot[world, p * bodies + q] < 0:
                            g.slot[world, p * bodies + q] = 0
                            g.slot[world, q * bodies + p] = 0
                            g.degree[world, p] = g.degree[world, p] + 1
                            g.degree[world, q] = g.degree[world, q] + 1
        return done

    @wp.func
    def sort_columns(g: Graph, world: int, bodies: int):
        """Sort each column in the order of elimination, and note every block's slot."""
        for body in range(bodies):
            start = g.column[world, body]
            end = start + g.height[world, body]
            for i in range(start, end):
                here = g.below[world, i]
                rank = g.rank[world, here]
                j = int(i)
                moving = int(1)
                while moving == 1:
                    moving = 0
                    if j > start:
                        before = g.below[world, j - 1]
                        if g.rank[world, before] > rank:
                            g.below[world, j] = before
                            j -= 1
                            moving = 1
                g.below[world, j] = here
            for i in range(start, end):
                other = g.below[world, i]
                g.slot[world, body * bodies + other] = i
                g.slot[world, other * bodies + body] = i

    @wp.func
    def list_islands(g: Graph, world: int, taking_part: int):
        """Label the islands and sort bodies and edges by them; each island keeps its order of elimination."""
        islands = int(0)
        for k in range(taking_part):
            body = g.order[world, taking_part - 1 - k]
            if g.height[world, body] == 0:
                g.label[world, body] = islands
                islands += 1
            else:
                g.label[world, body] = g.label[world, g.below[world, g.column[world, body]]]
        g.islands[world] = islands
        for i in range(islands + 1):
            g.island_body[world, i] = 0
            g.island_edge[world, i] = 0
        for k in range(taking_part):
            body = g.order[world, k]
            island = g.label[world, body]
            g.degree[world, k] = body  # the order before sorting
            g.island_body[world, island + 1] = g.island_body[world, island + 1] + 1
        edges = g.edges[world]
        for e in range(edges):
            island = g.label[world, g.edge_i[world, e]]
            g.island_edge[world, island + 1] = g.island_edge[world, island + 1] + 1
        for i in range(islands):
            g.island_body[world, i + 1] = g.island_body[world, i + 1] + g.island_body[world, i]
            g.island_edge[world, i + 1] = g.island_edge[world, i + 1] + g.island_edge[world, i]
            g.cursor[world, i] = g.island_body[world, i]
        for k in range(taking_part):
            body = g.degree[world, k]
            at = g.cursor[world, g.label[world, body]]
            g.order[world, at] = body
            g.cursor[world, g.label[world, body]] = at + 1
        for i in range(islands):
            g.cursor[world, i] = g.island_edge[world, i]
        for e in range(edges):
            island = g.label[world, g.edge_i[world, e]]
            at = g.cursor[world, island]
            g.edge_order[world, at] = e
            g.cursor[world, island] = at + 1

    @wp.func
    def arrange(
        world: int, takes_part: wp.array(dtype=int), contacts: int, row_a: wp.array2d(dtype=int),
        row_b: wp.array2d(dtype=int), g: Graph,
    ):  # fmt: skip
        """Fill the graph from the contacts that ``g.awake`` marks; all contacts of their pairs are marked, too.

        ``takes_part`` is 1 for bodies with a free axis. ``g`` must hold what the last call left, or be new.
        """
        bodies = takes_part.shape[0]
        forget(g, world, bodies)
        for body in range(bodies):
            g.height[world, body] = 0
            g.label[world, body] = -1
            g.degree[world, body] = takes_part[body] - 1
        list_edges(g, world, bodies, contacts, row_a, row_b)
        taking_part = eliminate(g, world, bodies)
        sort_columns(g, world, bodies)
        list_islands(g, world, taking_part)

    return SimpleNamespace(Graph=Graph, arrange=arrange)

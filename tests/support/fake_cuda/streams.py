"""The order between what torch and Warp launch, each on a stream of its own, on buffers that both use.

Two clocks: each stream counts its launches, and knows up to which of the other's it waited. A launch on a buffer that
the other stream used later than that is a race.
"""

import bisect
import weakref

from .faults import refuse

TORCH, WARP = "torch", "Warp"
OTHER = {TORCH: WARP, WARP: TORCH}


class Buffer:
    """Memory that both use: bytes from ``start`` to ``stop``."""

    def __init__(self, start: int, stop: int):
        self.start, self.stop = start, stop
        self.used = {TORCH: 0, WARP: 0}
        self.written = {TORCH: 0, WARP: 0}


class Clocks:
    """The two streams of the device."""

    def __init__(self):
        self.now = {TORCH: 0, WARP: 0}
        self.waited = {TORCH: 0, WARP: 0}
        """Up to which launch of the other stream."""
        self.buffers: list[Buffer] = []  # sorted, apart from each other

    def wait(self, side: str) -> None:
        """``side`` launches nothing more before the other stream has done what it has launched so far."""
        self.waited[side] = self.now[OTHER[side]]

    def both_wait(self) -> None:
        """The host waited for the whole device."""
        for side in self.now:
            self.wait(side)

    def share(self, array, allocated: int | None = None) -> None:
        """From now on torch uses a Warp array, too, that Warp filled at the time ``allocated``."""
        if self.find(array.ptr) or not array.ptr:
            return
        buffer = Buffer(array.ptr, array.ptr + array.capacity)
        buffer.used[WARP] = buffer.written[WARP] = self.now[WARP] if allocated is None else allocated
        bisect.insort(self.buffers, buffer, key=lambda b: b.start)
        weakref.finalize(array, lambda: self.buffers.remove(buffer)).atexit = False

    def find(self, address: int | None) -> Buffer | None:
        """The shared buffer at an address."""
        i = bisect.bisect(self.buffers, address or 0, key=lambda b: b.start) - 1
        return self.buffers[i] if i >= 0 and address < self.buffers[i].stop else None

    def use(self, side: str, buffers, what: str, writes: bool = True) -> None:
        """``side`` launches something on some buffers."""
        self.now[side] += 1
        other = OTHER[side]
        for buffer in buffers:
            since = buffer.used if writes else buffer.written
            if since[other] > self.waited[side]:
                refuse(f"{what} on {side}'s stream uses a buffer that {other}'s stream used before, and did not wait")
            buffer.used[side] = self.now[side]
            if writes:
                buffer.written[side] = self.now[side]


CLOCKS = Clocks()

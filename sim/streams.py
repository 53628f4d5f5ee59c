"""The order between what torch and what Warp launch on a GPU; on the CPU, where calls return when done, nothing.

Both write the buffers of a batch of worlds, each on a stream of its own, and streams wait for nobody. So its buffers
are Warp's while it allocates, records and replays, and torch's else, and every change of hands is one of the calls
below. The streams wait, not the host.
"""

from __future__ import annotations

import torch
import warp as wp

__all__ = ["hand_to_torch", "hand_to_warp"]


def hand_to_warp(device: str) -> None:
    """What torch launched so far, on its current stream, comes before what Warp launches from now on."""
    if device != "cpu":
        wp.stream_to_torch(device).wait_stream(torch.cuda.current_stream(device))


def hand_to_torch(device: str) -> None:
    """What Warp launched so far comes before what torch launches from now on, on its current stream."""
    if device != "cpu":
        torch.cuda.current_stream(device).wait_stream(wp.stream_to_torch(device))

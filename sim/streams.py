"""Order between the launches of torch and of Warp on a GPU. On the CPU calls return when done, and nothing is needed.

Both write the buffers of a batch of worlds, each on a stream of its own, and streams run without regard to each other.
Warp owns the buffers while it allocates, records and replays; torch owns them at all other times. Each call below
passes them from one to the other. The streams wait, not the host.
"""

from __future__ import annotations

import torch
import warp as wp

__all__ = ["hand_to_torch", "hand_to_warp"]


def hand_to_warp(device: str) -> None:
    """Make later launches of Warp wait for the earlier ones of torch on its current stream."""
    if device != "cpu":
        wp.stream_to_torch(device).wait_stream(torch.cuda.current_stream(device))


def hand_to_torch(device: str) -> None:
    """Make later launches of torch on its current stream wait for the earlier ones of Warp."""
    if device != "cpu":
        torch.cuda.current_stream(device).wait_stream(wp.stream_to_torch(device))

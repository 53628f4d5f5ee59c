"""Bytes of a rollout's physical parameters, by which those of the rollout before are told from new ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch

__all__ = ["parameter_key"]

MOST_BYTES = 2**16
"""Size [bytes] up to which a comparison costs less than what it saves."""


def parameter_key(values: Mapping[str, torch.Tensor]) -> bytes | None:
    """All numbers of parameters that the worlds share, as bytes; None where worlds differ, on a GPU, or if large.

    By numbers and not by object, since a tensor may be changed in place in ways that torch does not count.
    """
    tensors = values.values()
    if any(x.is_cuda or x.shape[0] != 1 for x in tensors) or sum(x.nbytes for x in tensors) > MOST_BYTES:
        return None
    try:
        return b"".join(x.detach().numpy().tobytes() for x in tensors)
    except RuntimeError:  # the tensors of torch's transforms have no memory
        return None

"""A name for a model's weights: equal where every parameter and buffer is, adapters included."""

from __future__ import annotations

import hashlib
from typing import Any

import torch


def weights_digest(model: Any) -> str:
    """Return a hash of all weights to the bit, with names, shapes and dtypes; 16 GB take about half a minute."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            found.update(f"{name} {tensor!r}".encode())
            continue
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = (
            tensor.detach().reshape(-1).view(torch.uint8) if tensor.numel() else tensor.new_empty(0).view(torch.uint8)
        )
        for piece in flat.split(1 << 26):
            found.update(piece.cpu().numpy().tobytes())
    return found.hexdigest()

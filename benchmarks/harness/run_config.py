"""Where a benchmark runs: the device, the backend of the ops, and whether shapes are tiny."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RunConfig:
    """`is_smoke` shrinks every shape, so that all paths run within seconds on any device."""

    device: torch.device
    backend: str  # "triton" or "torch"
    is_smoke: bool = False

    @classmethod
    def here(cls, *, is_smoke: bool = False, backend: str | None = None) -> RunConfig:
        """Return the config of this machine: its CUDA device if it has one, else its CPU."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return cls(device, backend or _default_backend(device), is_smoke)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def synchronize(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def release_memory(self) -> None:
        """Hand unused memory back. Like every call, it raises where the device is lost."""
        if self.on_gpu:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()


def _default_backend(device: torch.device) -> str:
    """On a GPU the kernels, even where they cannot run: that is then an error and no silent change of subject."""
    is_interpreted = os.environ.get("TRITON_INTERPRET") == "1" and importlib.util.find_spec("triton") is not None
    return "triton" if device.type == "cuda" or is_interpreted else "torch"

"""The processes of a launch, as lm-eval asks for them."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Processes:
    """Rank and size of a launch by torchrun or accelerate; one process without one.

    The rank is the global one: by the local rank, several nodes would do the same documents.
    """

    def __init__(self) -> None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        self.is_distributed = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if self.is_distributed else 0
        self.world_size = dist.get_world_size() if self.is_distributed else 1

    def all_gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes behind each other; scalars become a vector."""
        if not self.is_distributed:
            return tensor.reshape(-1)
        own = tensor.reshape(-1).contiguous()
        found = [torch.empty_like(own) for _ in range(self.world_size)]
        dist.all_gather(found, own)
        return torch.cat(found)

    def gather_object(self, value: Any, to: int = 0) -> list[Any] | None:
        """Return the objects of all processes on process `to`, None on the others."""
        if not self.is_distributed:
            return [value]
        found: list[Any] | None = [None] * self.world_size if self.rank == to else None
        dist.gather_object(value, found, dst=to)
        return found

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.is_distributed:
            dist.barrier()

    def close(self) -> None:
        """Leave together: where one process ends early, a launcher may stop the others."""
        if self.is_distributed:
            dist.barrier()
            dist.destroy_process_group()

"""Choose the implementation of an op: of each there is one in `kernels`, for Triton, and one in `fallback`, for torch.

The choice is made inside registered ops, which torch.compile does not look into: what it asks of the machine cannot be
traced. Triton is loaded at its first use.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from lift_kernels.backends import resolve_backend
from lift_kernels.linear_head import Draws, HeadBackend, LinearHead, SampledRows


class CorruptionBackend(Protocol):
    """A module that masks tokens at random."""

    def corrupt_tokens(
        self,
        input_ids: Tensor,
        mask_prob: Tensor,
        maskable: Tensor | None,
        row_ids: Tensor | None,
        mask_token_id: int,
        seed: int,
    ) -> tuple[Tensor, Tensor]:
        """Return corrupted ids and is_masked, (B, L) each and new; arguments as in `ops.corrupt_tokens`."""
        ...


class SelectionBackend(Protocol):
    """A module that chooses among masked tokens."""

    def select_tokens(
        self,
        score: Tensor,
        is_masked: Tensor,
        num_keep: Tensor,
        order: Tensor,
        seed: int | None,
        row_ids: Tensor | None,
    ) -> Tensor:
        """Return is_kept (B, L) bool; arguments as in `ops.select_tokens`, and no seed where no row is random."""
        ...


class SamplingBackend(Protocol):
    """A module that draws tokens from what a head predicts."""

    def sample_rows(
        self, hidden_states: Tensor, head: LinearHead, draws: Draws, *, workspace_bytes: int | None
    ) -> SampledRows:
        """Return a token for each of hidden_states (N, D), N possibly 0; scratch as in `HeadBackend`.

        It is the first of the largest z / temperature + `philox.gumbel_noise`, or z where temperature is 0.
        """
        ...


def head_backend(op: str, backend: str, hidden_states: Tensor) -> HeadBackend:
    """Return what computes the head for inputs like `hidden_states`."""
    if resolve_backend(op, backend, hidden_states.device, hidden_states.dtype) == "triton":
        from lift_kernels.kernels import linear_cross_entropy as triton_backend

        return triton_backend
    from lift_kernels.fallback import linear_cross_entropy as torch_backend

    return torch_backend


def sampling_backend(op: str, backend: str, hidden_states: Tensor) -> SamplingBackend:
    """Return what draws tokens for inputs like `hidden_states`."""
    if resolve_backend(op, backend, hidden_states.device, hidden_states.dtype) == "triton":
        from lift_kernels.kernels import sampling as triton_backend

        return triton_backend
    from lift_kernels.fallback import sampling as torch_backend

    return torch_backend


def corruption_backend(op: str, backend: str, device: torch.device) -> CorruptionBackend:
    """Return what masks tokens on `device`."""
    if resolve_backend(op, backend, device) == "triton":
        from lift_kernels.kernels import corruption as triton_backend

        return triton_backend
    from lift_kernels.fallback import corruption as torch_backend

    return torch_backend


def selection_backend(op: str, backend: str, device: torch.device) -> SelectionBackend:
    """Return what chooses tokens on `device`."""
    if resolve_backend(op, backend, device) == "triton":
        from lift_kernels.kernels import selection as triton_backend

        return triton_backend
    from lift_kernels.fallback import selection as torch_backend

    return torch_backend

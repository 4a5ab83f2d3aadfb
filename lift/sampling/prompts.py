"""Check prompts, ids and lengths before a model sees them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lift.errors import LiftError
from lift.models.attention import why_padding_counts
from lift.models.positions import check_length
from lift_kernels.models import family_of, positions_of, unwrap_model, vocab_size_of


def check_prompts(model: nn.Module, prompt_ids: Any, attention_mask: Any, gen_length: int) -> None:
    """Refuse what no model, or not this one, can complete.

    Raises:
        LiftError: a shape or dtype that does not fit, ids outside the vocabulary, a response that goes beyond the
            model's positions, or rows of unequal length for a model that cannot tell padding from text.
    """
    if not isinstance(prompt_ids, Tensor) or prompt_ids.dim() != 2 or prompt_ids.dtype != torch.int64:
        raise LiftError(f"generate: prompt_ids must be (B, P) int64, got {_shown(prompt_ids)}.")
    inner = unwrap_model(model)
    family, positions = family_of(inner), positions_of(model)
    if prompt_ids.numel():
        check_ids(model, "prompt_ids", *(int(bound) for bound in prompt_ids.aminmax()))
    if family is not None and family.predicts_next and prompt_ids.shape[1] == 0:
        raise LiftError("generate: this model predicts a token from the one before it: prompt_ids must not be empty.")
    check_length(
        positions, prompt_ids.shape[1] + gen_length, "generate: prompt and response have",
        f"shorten the prompt, or set gen_length to at most {{limit}} less the prompt's {prompt_ids.shape[1]}",
    )  # fmt: skip
    if attention_mask is None:
        return
    check_attention_mask(prompt_ids, attention_mask)
    reason = why_padding_counts(model)
    if reason is not None and not attention_mask.all():
        raise LiftError(
            f"generate: {type(inner).__name__} {reason}, so padding would change what it writes: complete prompts of "
            "unequal length one by one, or those of one length together."
        )


def check_attention_mask(prompt_ids: Tensor, attention_mask: Any) -> None:
    """Raise LiftError unless the mask of prompts (B, P) has their shape, and 1 or 0 everywhere."""
    if not isinstance(attention_mask, Tensor) or attention_mask.shape != prompt_ids.shape:
        shape = tuple(prompt_ids.shape)
        raise LiftError(
            f"generate: attention_mask must have shape {shape} like prompt_ids, got {_shown(attention_mask)}."
        )
    if not ((attention_mask == 0) | (attention_mask == 1)).all():
        raise LiftError("generate: attention_mask must hold 1 on the prompt's tokens and 0 on padding, and no others.")


def check_row_ids(prompt_ids: Tensor, row_ids: Any) -> Tensor:
    """Return the row ids (B,) int64 of prompts (B, P); by default 0..B-1.

    Raises: LiftError if their shape or dtype does not fit.
    """
    num_rows = len(prompt_ids)
    if row_ids is None:
        return torch.arange(num_rows, device=prompt_ids.device)
    if not isinstance(row_ids, Tensor) or row_ids.shape != (num_rows,) or row_ids.dtype != torch.int64:
        raise LiftError(f"generate: row_ids must be ({num_rows},) int64, one a prompt, got {_shown(row_ids)}.")
    return row_ids.to(prompt_ids.device)


def vocab_size_of_model(model: nn.Module) -> int | None:
    """Return how many tokens the model, wrapped or not, chooses from, or None where it does not say."""
    inner = unwrap_model(model)
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    return getattr(getattr(inner, "config", None), "vocab_size", None) if head is None else vocab_size_of(head)


def check_ids(model: nn.Module, what: str, low: int, high: int) -> None:
    """Raise LiftError, which calls them `what`, if ids from `low` to `high` are not all in the model's vocabulary."""
    vocab_size = vocab_size_of_model(model)
    if low < 0 or (vocab_size is not None and high >= vocab_size):
        raise LiftError(
            f"generate: {what} must be in [0, {'V' if vocab_size is None else vocab_size}), the model's vocabulary, "
            f"got {low if low < 0 else high}."
        )


def _shown(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"

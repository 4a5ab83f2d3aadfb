"""The id that the objectives write in place of a corrupted token."""

from __future__ import annotations

from typing import Any

from lift.data.special_tokens import resolve_mask_token_id
from lift.models.training_record import record_mask_token
from lift.objectives import LiftOptions


def noise_token_id(options: LiftOptions, tokenizer: Any, *, config: Any, vocab_size: int) -> int:
    """Return the mask token or, with corruption=uniform, `vocab_size`, which stands for a token that is drawn.

    Raises:
        LiftError: a mask token is needed and none is known, see `resolve_mask_token_id`.
    """
    if options.corruption == "uniform":
        return vocab_size
    return resolve_mask_token_id(tokenizer, options.mask_token_id, config=config, vocab_size=vocab_size)


def record_noise_token(options: LiftOptions, model: Any, token_id: int) -> None:
    """Let the model tell its samplers its mask token, or that it was trained without one."""
    record_mask_token(model, None if options.corruption == "uniform" else token_id)

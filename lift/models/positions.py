"""Say where rows have more tokens than a model has positions, and number the tokens of those that a model cannot."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from lift.errors import LiftError
from lift_kernels.models import Positions, positions_of, unwrap_model

logger = logging.getLogger(__name__)


def check_length(positions: Positions, num_tokens: int, what: str, remedy: str) -> None:
    """Raise LiftError where rows of `num_tokens` tokens have more than the model has positions.

    Args:
        positions: of the model.
        num_tokens: of the longest row, padding included.
        what: whose tokens they are, as the sentence begins.
        remedy: how it ends; `{limit}` stands for the most tokens that fit.
    """
    if positions.limit is None or num_tokens <= positions.limit:
        return
    source = (
        f"{positions.source} less the {positions.first} that it leaves out" if positions.first else positions.source
    )
    raise LiftError(
        f"{what} {num_tokens} tokens, and the model has {positions.limit} positions ({source}): "
        f"{remedy.format(limit=positions.limit)}."
    )


def warn_beyond_training(model: Any, num_tokens: int) -> None:
    """Caution where relative positions go beyond those that the model was made for, which runs and may mislead."""
    usual = getattr(unwrap_model(model).config, "max_position_embeddings", None)
    if positions_of(model).limit is None and usual is not None and num_tokens > usual:
        logger.warning(
            "rows of %d tokens go beyond the %d positions that the model was made for (max_position_embeddings): it "
            "runs, and may predict worse there; max_length=%d keeps rows within them.", num_tokens, usual, usual,
        )  # fmt: skip


def position_ids_for(positions: Positions, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor | None:
    """Return the `position_ids` (B, L) int64 that rows need, or None where the model's own numbers are right.

    The model's own are wrong in two cases. BERT and its kind number columns, so a row that is padded on the left is
    not what it is alone. RoBERTa and its kind number the tokens that are not the pad token, so that where pads are
    text (trained, masked, generated) the position of a token depends on the noise.

    Args:
        positions: of the model.
        input_ids: (B, L).
        attention_mask: (B, L), 1 on tokens; None where all are.
    """
    if not (positions.is_table and positions.is_argument):
        return None
    if attention_mask is not None:
        return positions.ids_of(attention_mask)
    if not positions.skips_pads:
        return None
    columns = torch.arange(input_ids.shape[1], device=input_ids.device) + positions.first
    return columns.expand(input_ids.shape)

"""When a row has ended: what comes before its first stop id is written."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.sampling.config import SamplingConfig
from lift.sampling.layout import Canvas


def first_stop(canvas: Canvas, stop_ids: Tensor, *, in_prompt: bool = False) -> tuple[Tensor, Tensor]:
    """Return where rows hold a stop id, (B,) bool, and the column (B,) of the first one in the answer.

    Args:
        canvas: the rows.
        stop_ids: (E,) int64.
        in_prompt: whether one in the prompt counts.
    """
    is_stop = torch.isin(canvas.ids, stop_ids) & (canvas.is_there if in_prompt else canvas.is_answer)
    return is_stop.any(1), is_stop.long().argmax(1)


def ended_within_block(
    canvas: Canvas, is_masked: Tensor, is_committed: Tensor, stop_ids: Tensor, config: SamplingConfig
) -> Tensor:
    """Return which rows (B,) have nothing masked before their first stop id; masks (B, T) bool, of answers."""
    has_stop, column = first_stop(canvas, stop_ids, in_prompt=config.stop_needs_commit)
    is_before = torch.arange(is_masked.shape[1], device=column.device) < column[:, None]
    has_ended = has_stop & ~(is_masked & is_before).any(1)
    if config.stop_needs_commit:
        has_ended &= (torch.isin(canvas.ids, stop_ids) & is_committed).any(1)
    return has_ended


def pad_behind_stop(canvas: Canvas, rows: Tensor, stop_ids: Tensor, pad_token_id: int) -> Tensor:
    """Return the ids (B, T) with padding behind the first stop id of some rows (B,) bool."""
    has_stop, column = first_stop(canvas, stop_ids)
    is_behind = torch.arange(canvas.ids.shape[1], device=column.device) > column[:, None]
    return canvas.ids.masked_fill(is_behind & canvas.is_answer & (rows & has_stop)[:, None], pad_token_id)

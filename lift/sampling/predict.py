"""What a model expects of the masked tokens of a block: from the statistics of a patched model, or from logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lift_kernels.models import family_of, find_model_family, selected_logits, to_token, unwrap_model


def predict_from_logits(
    model: nn.Module, inputs: dict[str, Any], block: slice, is_masked: Tensor, forbidden_ids: Tensor
) -> tuple[Tensor, Tensor]:
    """Most likely token that may be committed, and its log-probability among all tokens, (B, block_length) each.

    Args:
        model: masked language model.
        inputs: its arguments, of which `input_ids` (B, L).
        block: columns of the block.
        is_masked: (B, block_length) bool, where the answer counts.
        forbidden_ids: (F,) int64, tokens that are never committed, [MASK] among them.
    """
    logits = model(**inputs).logits
    family = family_of(unwrap_model(model))
    if family is not None and family.predicts_next:
        logits = to_token(logits, 0)
    return _best(logits[:, block], forbidden_ids)


def predict_from_token_stats(
    model: nn.Module, inputs: dict[str, Any], block: slice, is_masked: Tensor, forbidden_ids: Tensor
) -> tuple[Tensor, Tensor]:
    """As predict_from_logits, from a patched model; meaningful at masked positions only.

    Logits are made of the positions alone that prefer a token that may not be committed.
    """
    labels = torch.full_like(inputs["input_ids"], -100)
    # Any valid token will do: only the statistics that do not depend on the target are read.
    labels[:, block] = torch.where(is_masked, 0, -100)
    stats = model(**inputs, labels=labels, return_token_stats=True, return_dict=True).token_stats
    prediction, confidence = stats.argmax[:, block], stats.max_log_prob[:, block].float()
    is_forbidden = is_masked & torch.isin(prediction, forbidden_ids)
    if not is_forbidden.any():
        return prediction, confidence
    inner = unwrap_model(model)
    family = find_model_family(inner)
    row, column = is_forbidden.nonzero(as_tuple=True)
    index = row * labels.shape[1] + block.start + column - int(family.predicts_next)
    best, log_prob = _best(selected_logits(family, model, inner, inputs, index), forbidden_ids)
    return prediction.masked_scatter(is_forbidden, best), confidence.masked_scatter(is_forbidden, log_prob)


def _best(logits: Tensor, forbidden_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best token of logits (..., V) that is not forbidden, and its log-probability among all V."""
    logits = logits.float()
    lse = logits.logsumexp(dim=-1)
    max_logit, prediction = logits.index_fill(-1, forbidden_ids, -torch.inf).max(dim=-1)
    return prediction, max_logit - lse

"""What a model expects of the masked tokens of a block: from the statistics of a patched model, or from logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lift_kernels.models import family_of, to_token, unwrap_model


def predict_from_logits(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    block: slice,
    is_masked: Tensor,
    mask_token_id: int,
) -> tuple[Tensor, Tensor]:
    """Most likely token other than [MASK] and its log-probability, (B, block_length) each."""
    logits = model(input_ids=input_ids, attention_mask=attention_mask).logits
    family = family_of(unwrap_model(model))
    if family is not None and family.predicts_next:
        logits = to_token(logits, 0)
    logits = logits[:, block].float()
    lse = logits.logsumexp(dim=-1)
    logits[..., mask_token_id] = -torch.inf
    max_logit, prediction = logits.max(dim=-1)
    return prediction, max_logit - lse


def predict_from_token_stats(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    block: slice,
    is_masked: Tensor,
    mask_token_id: int,
) -> tuple[Tensor, Tensor]:
    """As predict_from_logits, from a patched model; meaningful at masked positions only."""
    labels = torch.full_like(input_ids, -100)
    # Any valid token will do: only the statistics that do not depend on the target are read.
    labels[:, block] = torch.where(is_masked, 0, -100)
    stats = model(
        input_ids=input_ids, attention_mask=attention_mask, labels=labels, return_token_stats=True
    ).token_stats
    prediction = stats.argmax[:, block]
    if (is_masked & (prediction == mask_token_id)).any():
        return predict_from_logits(model, input_ids, attention_mask, block, is_masked, mask_token_id)
    return prediction, stats.max_log_prob[:, block].float()

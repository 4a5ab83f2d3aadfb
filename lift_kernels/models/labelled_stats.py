"""Statistics of a model's labelled tokens, with runner-up and rank, and no logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lift_kernels.models.backbone import run_backbone
from lift_kernels.models.families import find_model_family
from lift_kernels.models.fused_forward import OWNER
from lift_kernels.models.head import call_head
from lift_kernels.models.instance_forward import options_of
from lift_kernels.models.parts import logit_numbers
from lift_kernels.models.patch import unwrap_model
from lift_kernels.ops.linear_token_stats import TokenStatsWithRank, linear_token_stats


@torch.no_grad()
def labelled_token_stats(model: nn.Module, inputs: Mapping[str, Any], labels: Tensor) -> TokenStatsWithRank:
    """Return what a patched model predicts where there is a label, without gradient and without logits.

    Args:
        model: patched by `apply_lift_kernels`; whole on this process, so not one of FSDP or ZeRO-3.
        inputs: of its forward, without labels: input_ids (B, L), attention_mask, position_ids.
        labels: (B, L) int64, -100 where nothing is asked for. Of a family that predicts the next token, a label at the
            first position must be -100.

    Returns: statistics, each (N,), of the N labels in the order of `labels.flatten()`.

    Raises: ValueError, TypeError if arguments do not fit, see `linear_token_stats`.
    """
    inner = unwrap_model(model)
    family = find_model_family(inner)
    options = options_of(inner, OWNER).of_op | logit_numbers(family, inner)
    flat = labels.flatten()
    index = (flat != -100).nonzero()[:, 0]
    states = run_backbone(family, inner, inner, (), dict(inputs))  # (B, L, D)
    rows = states.flatten(0, 1)[index - 1 if family.predicts_next else index]
    if family.transform is not None:
        rows = family.transform(inner)(rows)
    stats: TokenStatsWithRank = call_head(
        family.head(inner), rows,
        lambda rows, weight, bias: linear_token_stats(
            rows, weight, flat[index], bias=bias, rank=True, num_targets=len(index), **options
        ),
    )  # fmt: skip
    return stats

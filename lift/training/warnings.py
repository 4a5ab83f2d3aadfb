"""Warnings for configurations that run but mislead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lift_kernels.models import ModelFamily


def warnings_for(model: nn.Module, family: ModelFamily, args: Any) -> Iterator[str]:
    """Yield a sentence for each way in which training `model`, of `family`, with this configuration misleads."""
    if not args.pad_in_loss and family.attention_mask == "ignored":
        yield (
            "this model ignores attention masks, so padding is attended to though pad_in_loss=False: group rows by "
            "length, or train one row a micro-batch."
        )
    if args.corruption == "uniform" and args.attention == "block" and not family.takes_canvas:
        yield (
            "a model without a mask token is decoded on whole rows, and this one is trained in blocks: set "
            "attention=full, or decode it by a loop of your own."
        )
    narrow = {p.dtype for p in model.parameters() if p.requires_grad and p.dtype in (torch.bfloat16, torch.float16)}
    for dtype in sorted(map(str, narrow)):
        yield (
            f"weights in {dtype.removeprefix('torch.')} are trained as they are, and small steps vanish in their "
            "rounding: load the model in float32 and set bf16=True, or train an adapter."
        )

"""Quantise the frozen base of an adapter to 4 bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lift.models.lora.wrapping import head_names


def four_bit_config(model: nn.Module) -> Any:
    """Return the configuration that loads `model` in 4 bits; of `model` only the layers count, so meta tensors do.

    The output head keeps its dtype: the loss reads its weight as a matrix. Never run on a GPU by this project so far.

    Returns: `transformers.BitsAndBytesConfig`: NF4, double quantisation, computing in bfloat16.
    """
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=head_names(model),
    )

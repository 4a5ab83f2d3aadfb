"""LoRA: adapters beside a frozen model, their files, and bases held in 4 bits. peft does the work."""

from __future__ import annotations

from lift.lora.adapters import base_of_adapter, check_mergeable, check_resumable, is_adapter, load_adapter
from lift.lora.arguments import LoraArguments
from lift.lora.four_bit import four_bit_config
from lift.lora.wrapping import add_lora

__all__ = [
    "LoraArguments",
    "add_lora",
    "base_of_adapter",
    "check_mergeable",
    "check_resumable",
    "four_bit_config",
    "is_adapter",
    "load_adapter",
]

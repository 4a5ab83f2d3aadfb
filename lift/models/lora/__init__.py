"""LoRA through peft: adapters beside a frozen model, their files, and bases quantised to 4 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.models.lora.adapters import (
        base_of_adapter,
        check_mergeable,
        check_resumable,
        generation_config_of,
        is_adapter,
        load_adapter,
        unfreeze_adapter,
    )
    from lift.models.lora.arguments import LoraArguments
    from lift.models.lora.four_bit import four_bit_config
    from lift.models.lora.merging import merge_adapter
    from lift.models.lora.wrapping import add_lora

__all__ = [
    "LoraArguments",
    "add_lora",
    "base_of_adapter",
    "check_mergeable",
    "check_resumable",
    "four_bit_config",
    "generation_config_of",
    "is_adapter",
    "load_adapter",
    "merge_adapter",
    "unfreeze_adapter",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)

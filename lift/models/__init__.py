"""Models of transformers: loading, LoRA, checkpointing, FSDP, attention masks, batch size, and versions apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.models.loading import (
        load_config,
        load_generation_config,
        load_model,
        load_skeleton,
        load_tokenizer,
        new_config,
        new_model,
        resolve_package_path,
    )

__all__ = [
    "load_config",
    "load_generation_config",
    "load_model",
    "load_skeleton",
    "load_tokenizer",
    "new_config",
    "new_model",
    "resolve_package_path",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)

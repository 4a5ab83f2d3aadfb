"""Data: load rows, tokenise them into prompt and response, pack them, and pad them into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.data.collator import MaskedDiffusionCollator
    from lift.data.end_tokens import cut_at_end, end_token_ids
    from lift.data.example_ids import number_rows
    from lift.data.formats import encode_prompt
    from lift.data.loading import is_hub_id, load_rows
    from lift.data.named_formats import DATA_FORMATS
    from lift.data.packing import is_packed, pack_dataset
    from lift.data.preparation import prepare_dataset
    from lift.data.prompt_frame import PromptFrame, frame_of_rows
    from lift.data.special_tokens import resolve_mask_token_id, resolve_pad_token_id, unknown_token_ids

__all__ = [
    "DATA_FORMATS",
    "MaskedDiffusionCollator",
    "PromptFrame",
    "cut_at_end",
    "encode_prompt",
    "end_token_ids",
    "frame_of_rows",
    "is_hub_id",
    "is_packed",
    "load_rows",
    "number_rows",
    "pack_dataset",
    "prepare_dataset",
    "resolve_mask_token_id",
    "resolve_pad_token_id",
    "unknown_token_ids",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)

"""From a file, a folder or a Hub id to rows of prompt and response token ids."""

from __future__ import annotations

from lift.data.loading import load_rows
from lift.data.preparation import prepare_dataset
from lift.data.special_tokens import resolve_mask_token_id, resolve_pad_token_id

__all__ = ["load_rows", "prepare_dataset", "resolve_mask_token_id", "resolve_pad_token_id"]

"""Refuse what a trainer cannot train: a tokenizer or token ids that do not fit the model."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lift.errors import LiftError


def check_token_ids(inputs: dict[str, Tensor], vocab_size: int) -> None:
    """Raise LiftError, naming the example, if a row has ids that the model's embedding has not."""
    is_outside = ((inputs["input_ids"] < 0) | (inputs["input_ids"] >= vocab_size)).any(1)
    if is_outside.any():
        example = inputs["example_id"][is_outside][0].item()
        raise LiftError(
            f"row {example} of the training data has token ids outside the model's vocabulary of {vocab_size}: "
            "tokenise it with the model's own tokenizer."
        )


def check_vocabulary(tokenizer: Any, vocab_size: int) -> None:
    """Raise LiftError if the tokenizer has more tokens than the model's head has rows."""
    if tokenizer is not None and len(tokenizer) > vocab_size:
        raise LiftError(
            f"the tokenizer has {len(tokenizer)} tokens but the model's head only {vocab_size} rows: use the model's "
            "own tokenizer, or call model.resize_token_embeddings(len(tokenizer)) first."
        )

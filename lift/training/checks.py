"""Refuse what cannot be trained: a tokenizer or token ids that do not fit the model, several GPUs in one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lift.data.collated_batch import CollatedBatch
from lift.errors import LiftError


def check_token_ids(inputs: CollatedBatch, vocab_size: int) -> None:
    """Raise LiftError, naming the example, if a row has ids that the model's embedding has not."""
    is_outside = ((inputs["input_ids"] < 0) | (inputs["input_ids"] >= vocab_size)).any(1)
    if is_outside.any():
        example = inputs["example_id"][is_outside][0].item()
        raise LiftError(
            f"row {example} of the training data has token ids outside the model's vocabulary of {vocab_size}: "
            "tokenise it with the model's own tokenizer."
        )


def check_arguments(model: Any, tokenizer: Any, others: Mapping[str, Any]) -> None:
    """Raise LiftError if `LiftTrainer` was given no model or no tokenizer, or a loss among the others."""
    if isinstance(model, str):
        raise LiftError(f"a model is needed, got the name {model!r}: load it with lift.load_model.")
    if tokenizer is None:
        raise LiftError(
            "LiftTrainer needs the tokenizer, for its mask and pad tokens: pass processing_class=tokenizer."
        )
    if others.get("compute_loss_func") is not None:
        raise LiftError("LiftTrainer has its own loss: leave compute_loss_func out, or use transformers.Trainer.")


def check_one_gpu(args: Any) -> None:
    """Raise LiftError where transformers would spread each batch over several GPUs of this process."""
    if args.n_gpu > 1:
        raise LiftError(
            f"{args.n_gpu} GPUs are visible to one process, which DataParallel would share: start one process "
            f"per GPU with torchrun --nproc_per_node {args.n_gpu}, or set CUDA_VISIBLE_DEVICES=0."
        )


def check_vocabulary(tokenizer: Any, vocab_size: int) -> None:
    """Raise LiftError if the tokenizer has more tokens than the model's head has rows."""
    if tokenizer is not None and len(tokenizer) > vocab_size:
        raise LiftError(
            f"the tokenizer has {len(tokenizer)} tokens but the model's head only {vocab_size} rows: use the model's "
            "own tokenizer, or call model.resize_token_embeddings(len(tokenizer)) first."
        )

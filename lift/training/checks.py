"""Refuse what cannot be trained: arguments of another kind, a tokenizer or token ids that do not fit the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from transformers import TrainingArguments

from lift.data.collated_batch import CollatedBatch
from lift.errors import LiftError
from lift.objectives import LiftOptions
from lift.training.data_checks import check_rows, data_sets, kind_of
from lift.training.unsupported import check_callables, check_full_evaluation, check_supported


def check_token_ids(inputs: CollatedBatch, vocab_size: int) -> None:
    """Raise LiftError, naming the example, if a row has ids that the model's embedding has not."""
    is_outside = ((inputs["input_ids"] < 0) | (inputs["input_ids"] >= vocab_size)).any(1)
    if is_outside.any():
        example = inputs["example_id"][is_outside][0].item()
        raise LiftError(
            f"row {example} of the training data has token ids outside the model's vocabulary of {vocab_size}: "
            "tokenise it with the model's own tokenizer."
        )


def check_config(args: Any) -> None:
    """Raise LiftError unless `args` are training arguments with LIFT's options."""
    if not isinstance(args, TrainingArguments) or not isinstance(args, LiftOptions):
        raise LiftError(
            f"args must be a LiftConfig, got {kind_of(args)}: LiftConfig takes all that TrainingArguments takes, and "
            "LIFT's own options."
        )


def check_arguments(model: Any, args: Any, tokenizer: Any, others: Mapping[str, Any]) -> None:
    """Check what a trainer is made of, before anything is done with it.

    Raises:
        LiftError: the model or the data is something else, there is no tokenizer, or one of the others asks for
            what LIFT's trainers do not do.
    """
    check_callables(others)
    if isinstance(model, str):
        raise LiftError(f"a model is needed, got the name {model!r}: load it with lift.load_model.")
    if not isinstance(model, nn.Module):
        raise LiftError(
            f"LiftTrainer needs a model, or model_init, got {kind_of(model)}: load one with lift.load_model."
        )
    if tokenizer is None:
        raise LiftError(
            "LiftTrainer needs the tokenizer, for its mask and pad tokens: pass processing_class=tokenizer."
        )
    if isinstance(tokenizer, str):
        raise LiftError(f"a tokenizer is needed, got the name {tokenizer!r}: load it with lift.models.load_tokenizer.")
    # Under FSDP the other processes of a machine may get their weights from its first.
    if args.local_process_index == 0 and any(p.is_meta for p in model.parameters()):
        raise LiftError(
            "the model has parameters on the meta device, which hold no weights: load it with lift.load_model, without "
            "device_map and torch.device('meta')."
        )
    check_supported(args)
    if others.get("train_dataset") is not None:
        check_full_evaluation(args)
    for name, rows in data_sets(others.get("train_dataset"), others.get("eval_dataset")):
        check_rows(name, rows)
    check_one_gpu(args)


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


def check_pad_tokens(pad_tokens: Sequence[int] | None, vocab_size: int) -> None:
    """Raise LiftError if a token to pad with is none of the model's, which on a GPU ends in an assertion."""
    for token in pad_tokens or ():
        if not 0 <= token < vocab_size:
            raise LiftError(
                f"pad_tokens has token id {token}, outside the model's vocabulary of {vocab_size}: take ids from 0 to "
                f"{vocab_size - 1}."
            )

"""TRL's `SFTTrainer` for masked diffusion: its data formats and chat templates, LIFT's forward process and loss.

TRL's own loss predicts the next token, and its `compute_loss_func` is deprecated in favour of a subclass. This is one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.utils import is_torch_bf16_gpu_available

try:
    from trl import SFTConfig, SFTTrainer, is_conversational
except ImportError as error:
    raise ImportError("lift.integrations.trl needs TRL: pip install 'trl>=1'.") from error

from lift.errors import LiftError
from lift.integrations.labelled_rows import LabelledRowsCollator
from lift.objectives import LiftOptions
from lift.training import LiftTrainer
from lift.training.data_checks import check_rows
from lift.training.unsupported import check_supported

logger = logging.getLogger(__name__)


@dataclass
class LiftSFTConfig(LiftOptions, SFTConfig):
    """`trl.SFTConfig` plus `LiftOptions`. Where there is no accelerator, it trains on the CPU, in float32 unless asked.

    Raises:
        LiftError: a field is outside its range, or has no effect in LIFT; the sentence names it.
    """

    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay False: the noise of a row is a function of its column example_id."}
    )

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            self.use_cpu = True
        if self.bf16 is None:  # TRL would ask for it anywhere
            self.bf16 = not self.fp16 and not self.use_cpu and is_torch_bf16_gpu_available()
        super().__post_init__()
        self.resolve_options()
        check_supported(self)
        if self.remove_unused_columns:
            raise LiftError("remove_unused_columns must be False: the noise of a row is a function of its example_id.")
        if self.packing or self.padding_free or self.eval_packing:
            raise LiftError("packing, eval_packing and padding_free must be False: the loss takes one example a row.")
        if self.loss_type != "nll":
            raise LiftError(f"loss_type={self.loss_type} is TRL's own loss: leave it at nll, and choose method.")


class LiftSFTTrainer(LiftTrainer, SFTTrainer):
    """`LiftTrainer` on what `trl.SFTTrainer` accepts: prompt and completion, messages, text.

    All of a row that TRL would train (`completion_only_loss`, `assistant_only_loss`) may be masked, and with
    `pad_in_loss` so may padding.

    Args:
        model: loaded, not its name.
        train_dataset, eval_dataset, kwargs: see `trl.SFTTrainer`.
        args: `LiftSFTConfig`.
        processing_class: the tokenizer.

    Raises:
        LiftError: as `LiftTrainer`; another configuration, `model_init`, or a tokenizer without a token that ends a
            text.
    """

    def __init__(self, model: Any, args: LiftSFTConfig, *, processing_class: Any = None, **kwargs: Any) -> None:
        if not isinstance(args, LiftSFTConfig):
            raise LiftError(
                f"args must be a LiftSFTConfig, got {type(args).__name__}: LiftSFTConfig takes all that trl.SFTConfig "
                "takes, and LIFT's own options."
            )
        if kwargs.pop("model_init", None) is not None:
            raise LiftError("LiftSFTTrainer prepares one model and its data: pass model, not model_init.")
        check_rows("train_dataset", kwargs.get("train_dataset"))
        if processing_class is not None:
            _end_of_text(args, model, processing_class, kwargs.get("train_dataset"), kwargs.get("formatting_func"))
        super().__init__(model, args, processing_class=processing_class, **kwargs)

    @staticmethod
    def make_collator(args: Any, pad_token_id: int, **options: Any) -> LabelledRowsCollator:
        return LabelledRowsCollator(pad_token_id, pad_to_multiple_of=args.pad_to_multiple_of, **options)

    def _prepare_dataset(self, *args: Any, **kwargs: Any) -> Any:
        return super()._prepare_dataset(*args, **kwargs).map(_numbered, with_indices=True)


def _numbered(row: dict[str, Any], index: int) -> dict[str, int]:
    is_trained = [label != -100 for label in row["labels"]]
    return {"example_id": index, "prompt_length": is_trained.index(True) if any(is_trained) else len(is_trained)}


def _end_of_text(args: LiftSFTConfig, model: Any, tokenizer: Any, rows: Any, formatting_func: Any) -> None:
    """Choose what ends a text where the tokenizer has no eos token, as `prepare_dataset` does: BERT's have [SEP]."""
    if args.eos_token is not None:
        # TRL would write it into the generation_config too, and masked models have none.
        if getattr(model, "generation_config", None) is None:
            if args.eos_token not in tokenizer.get_vocab():
                raise LiftError(f"eos_token must be one of the tokenizer's tokens, got {args.eos_token!r}.")
            tokenizer.eos_token, args.eos_token = args.eos_token, None
        return
    if getattr(tokenizer, "eos_token", "") is not None:
        return
    row: Any = {} if rows is None else next(iter(rows), {})
    if formatting_func is None and ("input_ids" in row or "conversations" in row or is_conversational(row)):
        return  # TRL adds none to these
    if tokenizer.sep_token is None:
        raise LiftError(
            "the tokenizer has no eos token, which TRL puts behind each text: set tokenizer.eos_token, or eos_token of "
            "LiftSFTConfig."
        )
    logger.info("the tokenizer has no eos token, so %s ends each text.", tokenizer.sep_token)
    tokenizer.eos_token = tokenizer.sep_token

"""`LiftSFTTrainer` of a tiny model; importing this needs trl."""

from __future__ import annotations

from lift.integrations.trl import LiftSFTConfig, LiftSFTTrainer
from tests.lift.support.labelled import RUN, split, tokenizer_with_end
from tests.lift.support.tiny import tiny_model


def make_config(tmp_path, **options) -> LiftSFTConfig:
    defaults = RUN | split(4, 1) | {"bf16": False, "gradient_checkpointing": False}
    return LiftSFTConfig(output_dir=str(tmp_path), **(defaults | options))


def make_trainer(tmp_path, rows, *, model=None, peft_config=None, **options) -> LiftSFTTrainer:
    return LiftSFTTrainer(
        model=tiny_model() if model is None else model, args=make_config(tmp_path, **options), train_dataset=rows,
        eval_dataset=rows, processing_class=tokenizer_with_end(), peft_config=peft_config,
    )  # fmt: skip

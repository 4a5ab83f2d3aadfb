"""dLLM's trainer, as the stand-in has it, with LIFT mixed in, of the tiny model."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from datasets import Dataset
from transformers import DataCollatorForSeq2Seq

from lift.integrations.dllm import LiftMDLMMixin
from lift.objectives.options import LiftOptions
from lift.tasks import sudoku
from tests.lift.support import mdlm_stand_in as stand_in
from tests.lift.support.labelled import RUN, labelled_rows, split
from tests.lift.support.tiny import tiny_model


@dataclass
class Config(LiftOptions, stand_in.MDLMConfig):
    pass


class MDLM(LiftMDLMMixin, stand_in.MDLMTrainer):
    pass


def of_dllm_itself(mixin: type, kind: str) -> tuple[type, type, type]:
    """Return the configuration and the trainer with LIFT, and dLLM's own, of dLLM's `kind`; skips without dLLM."""
    trainers = pytest.importorskip(
        "dllm.core.trainers", reason="dllm is not installed: it is on no package index, clone github.com/ZHZisZZ/dllm"
    )
    own_config, own_trainer = (getattr(trainers, f"{kind}{name}") for name in ("Config", "Trainer"))

    @dataclass
    class RealConfig(LiftOptions, own_config):
        group_by_length: bool = False  # dLLM 0.1.0 reads it, transformers 5 has dropped it

    class RealTrainer(mixin, own_trainer):
        pass

    return RealConfig, RealTrainer, own_trainer


def rows() -> Dataset:
    """With a column that neither model nor collator can take: dLLM leaves it to the Trainer to drop."""
    table = labelled_rows().remove_columns("example_id")
    return table.add_column("text", ["a"] * len(table))


def make_trainer(
    tmp_path, *, model=None, trainer_class=MDLM, scheduler=None, config=Config, trains_padding=True, **options
):
    tokenizer = sudoku.build_tokenizer()
    return trainer_class(
        model=tiny_model() if model is None else model,
        args=config(output_dir=str(tmp_path), **(RUN | split(4, 1) | options)),
        scheduler=scheduler,
        train_dataset=rows(),
        eval_dataset=rows(),
        tokenizer=tokenizer,
        data_collator=trained_padding(tokenizer) if trains_padding else DataCollatorForSeq2Seq(tokenizer),
    )


def trained_padding(tokenizer):
    """dLLM's own choice: padding is trained and attended to."""
    collate = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=tokenizer.pad_token_id)

    def without_attention_mask(rows):
        batch = collate(rows)
        del batch["attention_mask"]
        return batch

    return without_attention_mask


def whole_batch(trainer):
    rows = trainer.train_dataset.remove_columns("text")
    return trainer.clean_inputs(trainer.data_collator(list(rows)))

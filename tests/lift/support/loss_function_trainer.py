"""transformers' own Trainer with `LiftLoss`, on the labelled rows."""

from __future__ import annotations

from transformers import Trainer, TrainingArguments

from lift.integrations.loss_function import LiftLoss
from lift.objectives.options import LiftOptions
from lift.tasks import sudoku
from tests.lift.support.labelled import RUN, labelled_rows, split
from tests.lift.support.tiny import tiny_model


def make_trainer(
    tmp_path, options: LiftOptions, model=None, trainer_class=Trainer, config=TrainingArguments, max_length=None, **more
):
    model = tiny_model() if model is None else model
    loss = LiftLoss(model, sudoku.build_tokenizer(), options, max_length=max_length)
    args = config(output_dir=str(tmp_path), **(RUN | split(4, 1) | {"remove_unused_columns": False} | more))
    rows = labelled_rows()
    return trainer_class(
        model=model, args=args, train_dataset=rows, eval_dataset=rows, processing_class=sudoku.build_tokenizer(),
        compute_loss_func=loss, callbacks=[loss], data_collator=loss.collator,
    )  # fmt: skip

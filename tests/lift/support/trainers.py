"""Trainers of a tiny model, and their micro-batches."""

from __future__ import annotations

import torch

from lift import LiftTrainer
from lift.objectives import TrainingBatch, evaluation_time, step_seed
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows, uneven_rows


def training_batch(trainer: LiftTrainer, inputs, model=None) -> TrainingBatch:
    """What `compute_loss` would train on."""
    seed = step_seed(trainer.args.seed, trainer.state.global_step)
    draws = trainer._batches.draw(inputs, seed)
    return trainer.prepare_training_batch(trainer.model if model is None else model, inputs, draws, seed)


def evaluation_batch(trainer: LiftTrainer, inputs):
    """What `prediction_step` would evaluate."""
    u = evaluation_time(inputs["example_id"], trainer._evaluation.num_examples, grid=trainer.args.eval_grid)
    return trainer.prepare_evaluation_batch(inputs, u)


def make_trainer(tmp_path, model=None, *, callbacks=None, **options) -> LiftTrainer:
    return LiftTrainer(
        model=tiny_model() if model is None else model,
        args=tiny_config(tmp_path, **options),
        train_dataset=tiny_rows(),
        eval_dataset=tiny_rows(6),
        processing_class=sudoku.build_tokenizer(),
        callbacks=callbacks,
    )


def trainer_of_uneven_rows(tmp_path, trainer_class=LiftTrainer, **options) -> LiftTrainer:
    return trainer_class(
        model=tiny_model(), args=tiny_config(tmp_path, **options), train_dataset=uneven_rows(),
        eval_dataset=uneven_rows(10), processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip


def micro_batch(trainer: LiftTrainer, rows=range(8)):
    return trainer.data_collator([trainer.train_dataset[i] for i in rows])


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def end_of_run(tmp_path, size, accumulation, **options) -> list[torch.Tensor]:
    """The weights after a run on rows of unequal length, in steps of `accumulation` micro-batches of `size` rows."""
    defaults = {"optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0.0, "pad_in_loss": False}
    trainer = LiftTrainer(
        model=tiny_model().double(),  # so that only a wrong share is left to see, not rounding
        args=tiny_config(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, **(defaults | options)
        ),
        train_dataset=uneven_rows(),
        processing_class=sudoku.build_tokenizer(),
    )
    trainer.train()
    return weights(trainer.model)


def first_step(tmp_path, size, accumulation, **options) -> torch.Tensor:
    """How one step on 8 rows of unequal length changes the weights, of `accumulation` micro-batches of `size` rows."""
    defaults = {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0, "max_steps": 1}
    model = tiny_model().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)  # so that pads that are attended to matter
    before = weights(model)
    rows = [
        row | {"prompt_length": 1 + row["example_id"] % 4} for row in uneven_rows(8)
    ]  # and so unequally many to mask
    trainer = LiftTrainer(
        model=model, processing_class=sudoku.build_tokenizer(), train_dataset=rows,
        args=tiny_config(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, **defaults | options
        ),
    )  # fmt: skip
    trainer.train()
    return torch.cat([(a - b).flatten() for a, b in zip(weights(trainer.model), before, strict=True)])


def logits_of(model, input_ids):
    with torch.no_grad():
        return model.eval()(input_ids).logits

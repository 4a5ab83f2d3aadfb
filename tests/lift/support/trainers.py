"""Trainers of a tiny model, their micro-batches, and what their loss is by its description."""

from __future__ import annotations

import torch

from lift import LiftConfig, LiftTrainer
from lift.objectives import TrainingBatch, diffusion_time, draw_uniforms, evaluation_time, overmask_rate, step_seed
from lift.tasks import sudoku
from lift_kernels import reference
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows, uneven_rows


def training_batch(trainer: LiftTrainer, inputs, model=None) -> TrainingBatch:
    """What `compute_loss` would train on."""
    seed = step_seed(trainer.args.seed, trainer.state.global_step)
    draws = trainer._step.draw(inputs, seed)
    return trainer.prepare_training_batch(trainer.model if model is None else model, inputs, draws, seed)


def evaluation_batch(trainer: LiftTrainer, inputs):
    """What `prediction_step` would evaluate."""
    u = evaluation_time(inputs["example_id"], trainer._num_eval_examples, grid=trainer.args.eval_grid)
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


def micro_batch(trainer: LiftTrainer, rows=range(8)):
    return trainer.data_collator([trainer.train_dataset[i] for i in rows])


def expected_loss(
    model, inputs, config: LiftConfig, *, step: int = 0, mask_token_id: int = 1, rate=lambda time: time, weight=None
):
    """LIFT from its description, row by row and through full logits: no op of ours but the reference generator."""
    seed = step_seed(config.seed, step)
    u, r = draw_uniforms(seed, inputs["example_id"])
    time, rho = rate(diffusion_time(u)), overmask_rate(rate(u), r)
    weights = 1 / time if weight is None else weight(diffusion_time(u))
    total, modes = 0.0, []
    for row, example in enumerate(inputs["example_id"].tolist()):
        clean, maskable = inputs["input_ids"][row], inputs["maskable"][row]
        t, extra = time[row].item(), 0.0 if config.method == "sft" else rho[row].item()
        draws = [reference.random_word(seed, example, p, 0) >> 8 for p in range(len(clean))]
        mask = [p for p, d in enumerate(draws) if maskable[p] and d * 2.0**-24 < (time[row] + extra).item()]
        kept = mask
        if config.method != "sft":
            low, high = (1 / 2, 1 / 2) if config.method == "lift2" else (1 / 3, 2 / 3)
            count = round(len(mask) * max(t / (t + extra), 1e-3))
            corrupted = clean.clone()
            corrupted[mask] = mask_token_id
            with torch.no_grad():
                log_probs = model(corrupted[None]).logits[0].log_softmax(-1)
            gold = {p: log_probs[p, clean[p]].item() for p in mask}
            if t >= high:
                modes.append("easy")
                kept = sorted(mask, key=gold.__getitem__, reverse=True)[:count]
            elif t < low:
                modes.append("hard")
                kept = sorted(mask, key=gold.__getitem__)[:count]
            else:
                modes.append("middle")
                words = {p: reference.random_word(seed, example, p, 1) for p in mask}
                kept = sorted(mask, key=words.__getitem__, reverse=True)[: max(count, 1)]
        noisy = clean.clone()
        noisy[kept] = mask_token_id
        log_probs = model(noisy[None]).logits[0].log_softmax(-1)
        total = total - sum(log_probs[p, clean[p]] for p in kept) * weights[row]
    return total / inputs["maskable"].sum(), modes


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def end_of_run(tmp_path, size, accumulation, **options) -> list[torch.Tensor]:
    trainer = LiftTrainer(
        model=tiny_model().double(),  # so that only a wrong share is left to see, not rounding
        args=tiny_config(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, optim="sgd",
            learning_rate=0.1, max_grad_norm=0.0, pad_in_loss=False, **options,
        ),
        train_dataset=uneven_rows(),
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip
    trainer.train()
    return weights(trainer.model)


def logits_of(model, input_ids):
    with torch.no_grad():
        return model.eval()(input_ids).logits

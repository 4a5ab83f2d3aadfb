"""Models without a mask token, trained for real on random tokens and decoded by rewriting them."""

from __future__ import annotations

import json

import pytest
import torch

from lift import LiftTrainer, generate
from lift.models.training_record import has_no_mask_token
from lift.objectives.uniform_noise import draw_token_ids
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows
from tests.lift.support.trainers import evaluation_batch, micro_batch
from tests.lift_kernels.tiny_models import Sizes, build

NEMO = {"corruption": "uniform", "loss_positions": "all", "time_scaling": False}
LENGTH, VOCAB = 4, 16


def answer_to(token):
    return (token - 1) % 6 + 2


def toy_rows():
    """A token 2 to 7 four times, and behind it the next one four times: only the prompt tells."""
    prompts = torch.randint(2, 8, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    return [
        {"input_ids": [one] * LENGTH + [answer_to(one)] * LENGTH, "prompt_length": LENGTH, "example_id": i}
        for i, one in enumerate(prompts)
    ]


def trainer_of(tmp_path, model, rows, **options):
    defaults = {
        "per_device_train_batch_size": 16, "learning_rate": 2e-2, "lr_scheduler_type": "constant", "logging_steps": 20,
        "corruption": "uniform",
    }  # fmt: skip
    tokenizer = sudoku.build_tokenizer()
    tokenizer.mask_token = None
    return LiftTrainer(
        model=model, args=tiny_config(tmp_path, **(defaults | options)), train_dataset=rows, eval_dataset=rows[:8],
        processing_class=tokenizer,
    )  # fmt: skip


def accuracy(model):
    """Of answers to every prompt, by token; by chance 1 in V."""
    prompts = torch.arange(2, 8)[:, None].expand(6, LENGTH).contiguous()
    written = generate(model, prompts, gen_length=LENGTH, steps=8)[:, LENGTH:]
    return (written == answer_to(prompts)).float().mean().item()


def diffusion_gemma():
    model = build("diffusion-gemma", torch.float32, Sizes(vocab=VOCAB, length=LENGTH, width=32))
    model.final_logit_softcapping = 30.0
    return model


@pytest.mark.parametrize(
    ("build_model", "options"),
    [(diffusion_gemma, NEMO), (tiny_model, NEMO | {"method": "hard"}), (tiny_model, NEMO | {"method": "lift3"})],
    ids=["diffusion-gemma, as in NeMo", "hard", "lift3"],
)
def test_a_toy_task_is_learned(tmp_path, build_model, options):
    torch.manual_seed(0)
    model = build_model()
    steps = 40 if build_model is diffusion_gemma else 80
    options = {"method": "sft"} | options | {"max_steps": steps}
    trainer = trainer_of(tmp_path, model, toy_rows(), **options)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < 0.35 * losses[0]
    assert accuracy(model) > 0.7
    trainer.save_model(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["lift"]["corruption"] == "uniform"


def test_the_evaluation_sees_random_tokens_too(tmp_path):
    trainer = trainer_of(tmp_path, tiny_model(), uneven_rows(), method="sft", pad_in_loss=False)
    assert trainer.mask_token_id == 8 and has_no_mask_token(trainer.model)
    inputs = micro_batch(trainer)
    batch = evaluation_batch(trainer, inputs)
    is_corrupted = batch.labels != -100
    width = inputs["input_ids"].shape[1]
    tokens = draw_token_ids(trainer._evaluation_seed(), inputs["example_id"], width, 8)
    assert is_corrupted.any() and torch.equal(batch.input_ids, torch.where(is_corrupted, tokens, inputs["input_ids"]))
    assert trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"] > 0


@pytest.mark.parametrize(
    "options",
    [{"method": "lift2", "score_source": "cache"}, {"method": "gift"}, {"method": "lift3", "one_forward": True}],
    ids=str,
)
def test_methods_that_need_more_than_a_row_train_and_never_see_the_stand_in(tmp_path, options):
    trainer = trainer_of(tmp_path, tiny_model(), uneven_rows(), max_steps=2, **options)
    seen = []
    trainer.model.get_input_embeddings().register_forward_hook(
        lambda module, given, result: seen.append(given[0].max())
    )
    trainer.train()
    assert len(seen) >= 2 and max(seen) < 8

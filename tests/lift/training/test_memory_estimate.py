"""The parts of the estimate beside what a step leaves, and beside a count of everything that lives during it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import BertConfig, BertForMaskedLM, TrainerCallback

from lift import LiftTrainer
from lift.models.lora import LoraArguments, add_lora
from lift.tasks import sudoku
from lift.training.memory_estimate import batch_sizes, estimate_memory, with_checkpointing, with_lora, with_rows
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows
from tests.lift.support.trainers import trainer_of_uneven_rows


def bert(num_layers: int = 4) -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(
        BertConfig(
            vocab_size=300, hidden_size=64, intermediate_size=128, num_hidden_layers=num_layers, num_attention_heads=2,
            max_position_embeddings=64,
        )
    )  # fmt: skip


def trainer_of(model, tmp_path, **options) -> LiftTrainer:
    return LiftTrainer(
        model=model, train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer(),
        args=tiny_config(tmp_path, **{"optim": "adamw_torch", "lr_scheduler_type": "constant"} | options),
    )  # fmt: skip


class BetweenForwards(TrainerCallback):
    """Lets the tracker see several forwards of one model."""

    def __init__(self, tracker: MemTracker) -> None:
        self.tracker = tracker

    def on_step_end(self, *args, **kwargs) -> None:
        self.tracker.reset_mod_stats()

    on_substep_end = on_step_end


def nbytes(tensors) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


@pytest.mark.parametrize("make_model", [tiny_model, bert, lambda: bert().bfloat16()])
def test_weights_and_gradients_are_those_of_the_model(tmp_path, make_model):
    trainer = trainer_of(make_model(), tmp_path, max_steps=1)
    model = trainer.model
    model.get_input_embeddings().weight.requires_grad_(False)  # tied to the head
    estimate = estimate_memory(trainer)
    trainer.compute_loss(model.train(), trainer.data_collator(uneven_rows(2))).backward()
    assert estimate.weights == nbytes(model.parameters()) + nbytes(model.buffers())
    assert estimate.gradients == nbytes(p.grad for p in model.parameters() if p.grad is not None)
    assert estimate.largest_gradient == max(nbytes([p.grad]) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("num_layers", [4, 8])
def test_the_peak_is_that_of_all_that_lives_during_steps(tmp_path, num_layers, accumulation):
    """Of equal rows, all masked, so that the steps ask for the most; what the fused loss takes inside is not tracked."""
    rows = [{"input_ids": [2 + (i + j) % 6 for j in range(24)], "prompt_length": 1, "example_id": i} for i in range(64)]
    options = {
        "method": "sft", "timestep_distribution": "fixed", "fixed_timestep": 1.0, "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": accumulation, "max_steps": 2, "optim": "adamw_torch",
    }  # fmt: skip
    trainer = LiftTrainer(
        model=bert(num_layers), args=tiny_config(tmp_path, **options), train_dataset=rows,
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip
    estimate = replace(estimate_memory(trainer), workspace_most=0)
    tracker = MemTracker()
    tracker.track_external(trainer.model)
    trainer.add_callback(BetweenForwards(tracker))
    with tracker:
        trainer.train()
    peak = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    assert estimate.peak == pytest.approx(peak, rel=0.2)


def test_checkpointing_fewer_rows_and_lora_take_less(tmp_path):
    trainer = trainer_of(bert(), tmp_path, per_device_train_batch_size=8, gradient_accumulation_steps=2)
    plain = estimate_memory(trainer)
    fewer = with_rows(plain, 2)
    assert (fewer.rows, fewer.accumulation) == (2, 8) and fewer.activation_bytes < plain.activation_bytes / 3
    assert with_checkpointing(plain, trainer).activation_bytes < plain.activation_bytes / 2
    adapter = add_lora(bert(), LoraArguments(use_peft=True, lora_r=4))
    counted = nbytes(p for p in adapter.parameters() if p.requires_grad)
    lora = with_lora(plain, trainer.model, 4)
    assert lora.gradients == counted and lora.weights == plain.weights + counted and lora.optimiser == 2 * counted
    assert with_lora(plain, trainer.model, 4, weights="bfloat16").weights < 0.6 * plain.weights
    assert with_lora(plain, trainer.model, 4, weights="4bit").weights < lora.weights


def test_second_views_are_rows_too(tmp_path):
    options = {"method": "lift3", "complementary": True, "per_device_train_batch_size": 4}
    assert estimate_memory(trainer_of_uneven_rows(tmp_path, **options)).rows == 8


def test_batch_sizes_divide():
    assert list(batch_sizes(12)) == [12, 6, 4, 3, 2, 1]

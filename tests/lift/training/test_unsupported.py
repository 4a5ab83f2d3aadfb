"""What transformers takes and LIFT would not honour is refused, and nothing else is."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainingArguments

from lift import LiftConfig, LiftError, LiftTrainer
from lift.tasks import sudoku
from lift.training.unsupported import check_supported
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows, uneven_rows
from tests.lift.support.trainers import make_trainer, weights

FIELDS = {field.name for field in dataclasses.fields(TrainingArguments)}
REFUSED = {
    "label_smoothing_factor": 0.1,
    "label_names": ["targets"],
    "include_for_metrics": ["inputs"],
    "include_inputs_for_metrics": True,
    "batch_eval_metrics": True,
    "eval_do_concat_batches": False,
    "eval_use_gather_object": True,
    "past_index": 0,
    "use_cache": True,
    "use_legacy_prediction_loop": True,
    "jit_mode_eval": True,
    "use_liger_kernel": True,
    "liger_kernel_config": {"rope": False},
    "fp16": True,  # on a CPU
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:.*include_inputs_for_metrics:FutureWarning")
def test_a_field_without_effect(tmp_path, name):
    if name not in FIELDS:
        pytest.skip("this transformers has no such field")
    with pytest.raises(LiftError, match=f"^{name}=.*: (leave|set) |^fp16=True has no effect on a CPU: leave it out"):
        tiny_config(tmp_path, **{name: REFUSED[name]})


def test_a_field_that_is_set_later_is_seen_too(tmp_path):
    args = tiny_config(tmp_path)
    args.label_smoothing_factor = 0.1
    with pytest.raises(LiftError, match=r"label_smoothing_factor=0\.1 has no effect"):
        LiftTrainer(model=tiny_model(), args=args, processing_class=sudoku.build_tokenizer())


def test_what_is_at_its_default_is_fine(tmp_path):
    """Also the label_names that silence a warning of PEFT."""
    check_supported(TrainingArguments(str(tmp_path), use_cpu=True, label_names=["labels"]))


@pytest.mark.parametrize("name", ["compute_loss_func", "compute_metrics", "preprocess_logits_for_metrics"])
def test_a_function_that_would_never_be_called(tmp_path, name):
    with pytest.raises(LiftError, match=f"{name}.*: leave|leave {name} out"):
        LiftTrainer(
            model=tiny_model(), args=tiny_config(tmp_path), processing_class=sudoku.build_tokenizer(),
            **{name: lambda *args: None},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "loader", "sentence"),
    [
        ({"average_tokens_across_devices": False}, {}, "average_tokens_across_devices=False has no effect"),
        ({}, {"dispatch_batches": True}, "accelerator_config.dispatch_batches=True hands rows out without their names"),
        ({}, {"even_batches": False}, "accelerator_config.even_batches=False leaves processes without a batch"),
    ],
)
def test_what_several_processes_cannot_do(tmp_path, field, loader, sentence):
    args = tiny_config(tmp_path, **field, accelerator_config=loader)  # alone it does no harm
    several = SimpleNamespace(**{name: getattr(args, name) for name in [*FIELDS, "device"]} | {"world_size": 2})
    with pytest.raises(LiftError, match=sentence):
        check_supported(several)


def test_rows_are_split_over_processes_alone(tmp_path):
    args = tiny_config(tmp_path)
    args.parallelism_config = SimpleNamespace(tp_size=1, cp_size=2, sp_size=1)
    with pytest.raises(LiftError, match="parallelism_config with cp_size=2 splits rows or layers"):
        check_supported(args)
    args.parallelism_config.cp_size = 1
    check_supported(args)


def test_tokens_of_packed_rows_are_counted_whole(tmp_path):
    if "num_input_tokens_seen" not in "".join(FIELDS):
        pytest.skip("this transformers counts no tokens")
    options = {"packing": True, "pad_in_loss": False}
    assert tiny_config(tmp_path, **options, include_num_input_tokens_seen="all")
    with pytest.raises(LiftError, match="include_num_input_tokens_seen=non_padding would count pairs"):
        tiny_config(tmp_path, **options, include_num_input_tokens_seen="non_padding")


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_an_evaluation_does_not_round_what_is_trained_after_it(tmp_path, dtype):
    args = tiny_config(tmp_path, **{f"{dtype}_full_eval": True})
    given = {"model": tiny_model(), "args": args, "processing_class": sudoku.build_tokenizer()}
    with pytest.raises(LiftError, match=f"{dtype}_full_eval=True rounds the weights .* set {dtype}=True instead"):
        LiftTrainer(**given, train_dataset=tiny_rows(2))
    assert LiftTrainer(**given, eval_dataset=tiny_rows(2)).evaluate()["eval_loss"] > 0


def first_losses(tmp_path, **options) -> list[float]:
    trainer = make_trainer(tmp_path, max_steps=2, **options)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_what_works_is_kept(tmp_path):
    plain = first_losses(tmp_path)
    assert first_losses(tmp_path, neftune_noise_alpha=5.0) != plain
    harmless = {"dataloader_drop_last": True, "eval_accumulation_steps": 1, "prediction_loss_only": True}
    assert first_losses(tmp_path, **harmless) == plain


def test_a_batch_size_that_is_found_is_that_of_its_steps(tmp_path):
    class Small(LiftTrainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            if len(inputs["input_ids"]) > 2:
                raise RuntimeError("CUDA out of memory.")
            return super().compute_loss(model, inputs, *args, **kwargs)

    def train(trainer_class, **options) -> LiftTrainer:
        trainer = trainer_class(
            model=tiny_model(), args=tiny_config(tmp_path, max_steps=2, **options), train_dataset=uneven_rows(),
            processing_class=sudoku.build_tokenizer(),
        )  # fmt: skip
        trainer.train()
        return trainer

    found = train(Small, auto_find_batch_size=True, per_device_train_batch_size=4)
    size = found._train_batch_size  # accelerate halves it, or takes a tenth off
    assert size <= 2
    assert all(
        map(torch.equal, weights(found.model), weights(train(LiftTrainer, per_device_train_batch_size=size).model))
    )


def test_the_configuration_refuses_before_anything_is_read(tmp_path):
    with pytest.raises(LiftError, match=r"label_smoothing_factor=0\.1"):
        LiftConfig(str(tmp_path), use_cpu=True, label_smoothing_factor=0.1)

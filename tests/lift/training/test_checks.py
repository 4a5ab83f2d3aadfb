"""What cannot be trained is refused."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainingArguments

from lift import LiftConfig, LiftError, LiftOptions, LiftTrainer, MaskedDiffusionCollator
from lift.tasks import sudoku
from lift.training.checks import check_one_gpu, check_pad_tokens, check_token_ids, check_vocabulary
from tests.lift.support.tiny import tiny_config, tiny_model
from tests.lift.support.trainers import make_trainer, micro_batch


class TestBadInput:
    def test_a_tokenizer_larger_than_the_head(self, tmp_path):
        tokenizer = sudoku.build_tokenizer()
        tokenizer.add_tokens(["[5]", "[6]"])
        with pytest.raises(LiftError, match="the tokenizer has 9 tokens but the model's head only 8 rows"):
            LiftTrainer(model=tiny_model(), args=tiny_config(tmp_path), processing_class=tokenizer)

    @pytest.mark.parametrize("outside", [8, -1])
    def test_padding_outside_the_vocabulary(self, tmp_path, outside):
        with pytest.raises(LiftError, match=f"pad_tokens has token id {outside}, outside the model's vocabulary of 8"):
            make_trainer(tmp_path, pad_tokens=[7, outside])
        check_pad_tokens([0, 7], 8)
        check_pad_tokens(None, 8)

    def test_token_ids_outside_the_vocabulary(self, tmp_path):
        trainer = make_trainer(tmp_path)
        inputs = micro_batch(trainer)
        inputs["input_ids"][3, 20] = 8
        with pytest.raises(
            LiftError, match="row 3 of the training data has token ids outside the model's vocabulary of 8"
        ):
            trainer.compute_loss(trainer.model, inputs)


@pytest.mark.parametrize("outside", [8, -1])
def test_the_first_row_with_a_wrong_id_is_named_by_its_example(outside):
    inputs = {"input_ids": torch.tensor([[0, 7], [7, outside], [outside, 0]]), "example_id": torch.tensor([40, 41, 42])}
    with pytest.raises(LiftError, match="row 41 of the training data"):
        check_token_ids(inputs, 8)
    check_token_ids({name: values[:1] for name, values in inputs.items()}, 8)


def test_a_head_with_spare_rows_or_no_tokenizer_is_fine():
    check_vocabulary(range(8), 8)
    check_vocabulary(None, 1)
    with pytest.raises(LiftError, match="the tokenizer has 8 tokens but the model's head only 7 rows"):
        check_vocabulary(range(8), 7)


def test_several_gpus_in_one_process_are_refused():
    check_one_gpu(SimpleNamespace(n_gpu=0))
    check_one_gpu(SimpleNamespace(n_gpu=1))
    with pytest.raises(LiftError, match=r"2 GPUs are visible to one process.*torchrun --nproc_per_node 2"):
        check_one_gpu(SimpleNamespace(n_gpu=2))


def test_arguments_of_another_kind(tmp_path):
    given = {"model": tiny_model(), "args": tiny_config(tmp_path), "processing_class": sudoku.build_tokenizer()}
    cases = {
        "args must be a LiftConfig, got TrainingArguments: LiftConfig takes all": {
            "args": TrainingArguments(str(tmp_path), use_cpu=True)
        },
        "args must be a LiftConfig, got LiftOptions": {"args": LiftOptions()},
        "args must be a LiftConfig, got NoneType": {"args": None},
        "args must be a LiftConfig, got the class LiftConfig": {"args": LiftConfig},
        "a model is needed, got the name 'bert': load it with lift.load_model": {"model": "bert"},
        "needs a model, or model_init, got the class ModernBertForMaskedLM": {"model": type(given["model"])},
        "a tokenizer is needed, got the name 'bert'": {"processing_class": "bert"},
        "pass processing_class=tokenizer": {"processing_class": None},
    }
    for sentence, other in cases.items():
        with pytest.raises(LiftError, match=sentence):
            LiftTrainer(**(given | other))


def test_a_model_without_weights(tmp_path):
    given = {"args": tiny_config(tmp_path), "processing_class": sudoku.build_tokenizer()}
    with pytest.raises(LiftError, match="parameters on the meta device, which hold no weights: load it with"):
        LiftTrainer(model=tiny_model().to("meta"), **given)


def test_a_configuration_that_is_no_lift_config_needs_a_collator(tmp_path):
    @dataclass
    class Config(LiftOptions, TrainingArguments):
        pass

    args = Config(str(tmp_path), use_cpu=True, disable_tqdm=True)
    given = {"model": tiny_model(), "args": args, "processing_class": sudoku.build_tokenizer()}
    with pytest.raises(LiftError, match="args must be a LiftConfig, got Config, which has no pad_to"):
        LiftTrainer(**given)
    assert LiftTrainer(**given, data_collator=MaskedDiffusionCollator(0))

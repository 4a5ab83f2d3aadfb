"""What cannot be trained is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lift import LiftError, LiftTrainer
from lift.tasks import sudoku
from lift.training.checks import check_one_gpu, check_token_ids, check_vocabulary
from tests.lift.support.tiny import tiny_config, tiny_model
from tests.lift.support.trainers import make_trainer, micro_batch


class TestBadInput:
    def test_a_tokenizer_larger_than_the_head(self, tmp_path):
        tokenizer = sudoku.build_tokenizer()
        tokenizer.add_tokens(["[5]", "[6]"])
        with pytest.raises(LiftError, match="the tokenizer has 9 tokens but the model's head only 8 rows"):
            LiftTrainer(model=tiny_model(), args=tiny_config(tmp_path), processing_class=tokenizer)

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

"""Training in blocks through `LiftLoss` and TRL: the run that LiftTrainer makes of the same rows."""

from __future__ import annotations

import pytest
import torch

from lift import LiftError, LiftTrainer
from lift.integrations.loss_function import LiftLoss
from lift.models.training_record import training_record
from lift.objectives.options import LiftOptions
from lift.tasks import sudoku
from tests.doubles.a2d_qwen3 import SDARConfig, SDARForCausalLM
from tests.lift.support.labelled import (
    RUN,
    assert_same_run,
    labelled_rows,
    split,
    tiny_dream,
    weights,
    weights_of_lift_trainer,
)
from tests.lift.support.loss_function_trainer import make_trainer
from tests.lift.support.tiny import prose_tokenizer, tiny_config, uneven_rows
from tests.transformers_version import needs_packing

SIZE = 4
IN_BLOCKS = {"attention": "block", "block_size": SIZE}
METHODS = [
    {"method": "lift3"}, {"method": "lift3", "one_forward": True, "learnability": "soft"}, {"method": "cart"},
]  # fmt: skip


@needs_packing
@pytest.mark.parametrize("options", METHODS, ids=str)
@pytest.mark.parametrize("size_and_accumulation", [(4, 1), (2, 2)], ids=str)
def test_lift_loss_is_lift_trainer_however_steps_are_split(tmp_path, size_and_accumulation, options):
    options = {"pad_in_loss": False, **options}
    trainer = make_trainer(tmp_path, LiftOptions(**IN_BLOCKS, **options), **split(*size_and_accumulation))
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **IN_BLOCKS, **options))


@needs_packing
def test_the_model_says_that_it_was_trained_in_blocks(tmp_path):
    """So that it is sampled and scored in them."""
    options = LiftOptions(**IN_BLOCKS, block_origin="answer")
    model = make_trainer(tmp_path, options).model
    assert training_record(model) == {"attention": "block", "block_size": str(SIZE), "block_origin": "answer"}
    assert training_record(make_trainer(tmp_path, LiftOptions(), model=model).model) == {}


@needs_packing
def test_lift_loss_trains_padding_up_to_whole_blocks(tmp_path):
    """At the defaults of everything but the blocks."""
    trainer = make_trainer(tmp_path, LiftOptions(**IN_BLOCKS), max_length=22)
    assert trainer.data_collator(list(trainer.train_dataset))["input_ids"].shape[1] == 24
    trainer.train()
    expected = weights_of_lift_trainer(tmp_path, pad_to="max_length", max_length=22, **IN_BLOCKS)
    assert_same_run(weights(trainer.model), expected)
    first, second = (trainer.evaluate()["eval_loss"] for _ in range(2))
    assert first == second > 0


@pytest.mark.parametrize(
    "build", [tiny_dream, lambda: SDARForCausalLM(SDARConfig(vocab_size=8))], ids=["dream", "sdar"]
)
def test_a_model_with_code_of_its_own(tmp_path, build):
    """SDAR in blocks unasked, as it generates text; Dream, which predicts the next token, where asked."""
    model = build()
    named = IN_BLOCKS if model.config.model_type == "Dream" else {}
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer = make_trainer(tmp_path, LiftOptions(method="lift3", pad_in_loss=False, **named), model)
    trainer.train()
    twin = build()
    twin.load_state_dict(start, strict=False)
    theirs = LiftTrainer(
        model=twin, args=tiny_config(tmp_path, method="lift3", pad_in_loss=False, **(RUN | split(4, 1) | named)),
        train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip
    theirs.train()
    assert theirs.args.block_size == SIZE
    assert any((p - start[name]).abs().max() > 1e-3 for name, p in twin.named_parameters())
    for ours, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-6)


def test_rows_without_names_are_named_in_as_many_bits_as_blocks_leave(tmp_path):
    loss = LiftLoss(tiny_dream(), sudoku.build_tokenizer(), LiftOptions(**IN_BLOCKS))
    rows = labelled_rows().remove_columns("example_id")
    names = loss.collator(list(rows))["host_example_id"]
    assert len(set(names)) == len(rows) and max(names) < 1 << 32


def test_end_tokens_complete_the_last_block():
    tokenizer = prose_tokenizer()
    model = SDARForCausalLM(SDARConfig(vocab_size=128))
    options = LiftOptions(block_padding="eos", pad_in_loss=False, mask_token_id=5)
    batch = LiftLoss(model, tokenizer, options).collator([{"input_ids": [9, 10, 11], "labels": [-100, 10, 11]}])
    assert batch["input_ids"].tolist() == [[9, 10, 11, tokenizer.eos_token_id]]
    assert batch["labels"].tolist() == [[-100, 10, 11, tokenizer.eos_token_id]]


@needs_packing
def test_lift_loss_needs_no_mask_token(tmp_path):
    options = {"corruption": "uniform", "method": "lift3", "pad_in_loss": False, **IN_BLOCKS}
    trainer = make_trainer(tmp_path, LiftOptions(**options))
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **options))
    assert trainer.model.config.lift == {"corruption": "uniform", "attention": "block", "block_size": "4"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"block_size": 4, "attention": "full"}, "block_size belongs to attention=block"),
        ({"attention": "block"}, "nothing tells the size of a block of DreamModel: set block_size"),
        ({**IN_BLOCKS, "method": "blockwise"}, "takes whole rows|divides by what it counts itself"),
        ({"time_scope": "document"}, "time_scope=document belongs to attention=block"),
    ],
)
def test_what_does_not_fit_is_refused(options, sentence):
    with pytest.raises(LiftError, match=sentence):
        LiftLoss(tiny_dream(), sudoku.build_tokenizer(), LiftOptions(**options))


@needs_packing
@pytest.mark.parametrize("options", [{"method": "lift3"}, {"method": "gift", "loss_normalizer": "sequence"}], ids=str)
def test_trl_is_lift_trainer(tmp_path, options):
    pytest.importorskip("trl", reason="trl is not installed")
    from tests.lift.support.trl_trainer import make_trainer as make_sft_trainer

    options = {"pad_in_loss": False, **IN_BLOCKS, **options}
    trainer = make_sft_trainer(tmp_path, labelled_rows(), **split(2, 2), **options)
    trainer.train()
    assert_same_run(weights(trainer.model), weights_of_lift_trainer(tmp_path, **options))

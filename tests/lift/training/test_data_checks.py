"""Data sets and batches that a trainer cannot take are refused in a sentence."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import DataCollatorForLanguageModeling

from lift import LiftError, LiftTrainer, MaskedDiffusionCollator
from lift.tasks import sudoku
from lift.training.data_checks import check_batch
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows, uneven_rows


def trainer_of(tmp_path, trainer_class=LiftTrainer, data_collator=None, options=None, **data) -> LiftTrainer:
    return trainer_class(
        model=tiny_model(), args=tiny_config(tmp_path, **(options or {})), processing_class=sudoku.build_tokenizer(),
        data_collator=data_collator, **data,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (DatasetDict(train=tiny_rows(2), test=tiny_rows(2)), r"several data sets \(train, test\): .* data\['train'\]"),
        ("rows.jsonl", "must be rows, got the name 'rows.jsonl': read it with lift.load_rows"),
        ([], "has no rows: look for what filtered them out"),
        (Dataset.from_list([{"text": "a"}]), r"lack input_ids, prompt_length, example_id \(they have text\)"),
        ([{"input_ids": [1, 2]}], r"lack prompt_length, example_id \(they have input_ids\): build it with"),
        ([{"input_ids": [1], "segment_lengths": [1]}], "lack segment_prompt_lengths, example_id"),
        ([[1, 2]], "must give a mapping for each number of a row, .* got list"),
        ({1, 2}, "must give a mapping for each number of a row, .* got set"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("name", ["train_dataset", "eval_dataset"])
def test_data_that_is_no_rows(tmp_path, name, rows, sentence):
    if name == "eval_dataset" and isinstance(rows, dict):
        assert trainer_of(tmp_path, eval_dataset=rows)
        name, rows, sentence = "eval_dataset", DatasetDict(a=tiny_rows(2), b=[]), r"\['b'\] has no rows"
    with pytest.raises(LiftError, match=f"{name}.*{sentence}"):
        trainer_of(tmp_path, **{name: rows})


@pytest.mark.parametrize("kind", [Dataset.from_list, list])
@pytest.mark.parametrize("name", ["train_dataset", "eval_dataset"])
def test_a_prompt_is_not_longer_than_its_row(tmp_path, caplog, kind, name):
    row = {"input_ids": [2, 3, 4], "prompt_length": 2, "example_id": 0}
    with pytest.raises(LiftError, match=rf"^row 1 .* of {name} has 3 tokens and prompt_length=4, which is more: count"):
        trainer_of(tmp_path, **{name: kind([row, row | {"prompt_length": 4, "example_id": 1}])})
    several = row | {"response_spans": [2, 3]}
    assert trainer_of(tmp_path, **{name: kind([row])}) and trainer_of(tmp_path, **{name: kind([several])})
    assert "all prompt" not in caplog.text
    trainer_of(tmp_path, **{name: kind([row, row | {"prompt_length": 3, "example_id": 1}])})
    assert f"1 of 2 rows of {name} are all prompt, row 1 (counted from 0) first: no token of" in caplog.text


def test_packing_too_says_what_rows_lack(tmp_path):
    with pytest.raises(LiftError, match="the rows of train_dataset lack prompt_length"):
        trainer_of(
            tmp_path,
            options={"packing": True, "pad_in_loss": False},
            train_dataset=[{"input_ids": [1], "example_id": 0}],
        )


def test_training_without_rows(tmp_path):
    trainer = trainer_of(tmp_path, eval_dataset=uneven_rows(3))
    assert trainer.evaluate()["eval_loss"] > 0
    with pytest.raises(LiftError, match="training needs rows: pass train_dataset"):
        trainer.train()


def test_a_collator_that_masks_itself(tmp_path):
    masks = DataCollatorForLanguageModeling(sudoku.build_tokenizer(), mlm_probability=0.3)
    rows = [{"input_ids": row["input_ids"]} for row in uneven_rows(8)]
    trainer = trainer_of(tmp_path, data_collator=masks, train_dataset=rows, eval_dataset=rows)
    for act in (trainer.train, trainer.evaluate):
        with pytest.raises(LiftError, match=r"lacks maskable, example_id \(it has input_ids.*MaskedDiffusionCollator"):
            act()


def test_a_collator_of_other_rows_is_fine(tmp_path):
    class Lengths(MaskedDiffusionCollator):
        def __call__(self, rows):
            return super().__call__([{"input_ids": r["ids"], "prompt_length": 1, "example_id": r["n"]} for r in rows])

    rows = [{"ids": row["input_ids"], "n": row["example_id"]} for row in uneven_rows(8)]
    trainer = trainer_of(tmp_path, data_collator=Lengths(0), train_dataset=rows, options={"max_steps": 1})
    assert trainer.train().training_loss > 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"maskable": torch.ones(2, 3, dtype=torch.int64)}, r"got \(2, 3\), \(2, 3\) of torch.int64 and \(2,\)"),
        ({"maskable": torch.ones(2, dtype=torch.bool)}, r"got \(2, 3\), \(2,\) of torch.bool"),
        ({"example_id": torch.arange(3)}, r"of torch.bool and \(3,\)"),
    ],
)
def test_a_batch_of_wrong_shapes(change, sentence):
    batch = {
        "input_ids": torch.ones(2, 3, dtype=torch.int64), "maskable": torch.ones(2, 3, dtype=torch.bool),
        "example_id": torch.arange(2),
    }  # fmt: skip
    check_batch(batch)
    with pytest.raises(LiftError, match=sentence):
        check_batch(batch | change)
    with pytest.raises(LiftError, match="data_collator must give a mapping, got SimpleNamespace"):
        check_batch(SimpleNamespace(**batch))

from __future__ import annotations

from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from lift.data.collator import MaskedDiffusionCollator
from lift.errors import LiftError

ROWS: list[dict[str, Any]] = [
    {"input_ids": [5, 6, 7, 8], "prompt_length": 1, "example_id": 40},
    {"input_ids": [9, 3], "prompt_length": 2, "example_id": 7},
    {"input_ids": [4, 2, 1], "prompt_length": 0, "example_id": 3_000_000_000},
]


def test_pads_on_the_right_and_marks_the_response() -> None:
    batch = MaskedDiffusionCollator(11)(ROWS)
    assert set(batch) == {"input_ids", "maskable", "example_id", "host_example_id", "lengths", "padding"}
    assert batch["lengths"] == (4, 2, 3)
    assert batch["input_ids"].dtype == batch["example_id"].dtype == torch.int64
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8], [9, 3, 11, 11], [4, 2, 1, 11]]
    assert batch["maskable"].dtype == torch.bool
    assert batch["maskable"].int().tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    assert batch["example_id"].tolist() == [*batch["host_example_id"]] == [40, 7, 3_000_000_000]


def test_padding_out_of_the_loss_is_out_of_attention() -> None:
    batch = MaskedDiffusionCollator(11, pad_in_loss=False)(ROWS)
    assert set(batch) == {"input_ids", "maskable", "example_id", "host_example_id", "lengths", "attention_mask"}
    assert batch["maskable"].int().tolist() == [[0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]]
    assert batch["attention_mask"].dtype == torch.int64
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]


def test_a_real_token_with_the_id_of_padding_is_no_padding() -> None:
    """LLaDA pads with the token that ends a response, so lengths decide, never ids."""
    rows = [{**ROWS[0], "input_ids": [5, 6, 11, 11]}, ROWS[1]]
    batch = MaskedDiffusionCollator(11, pad_in_loss=False)(rows)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["maskable"].int().tolist() == [[0, 1, 1, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("max_length", "multiple", "length"),
    [
        (None, None, 4),
        (6, None, 6),
        (4, None, 4),
        (None, 8, 8),
        (None, 4, 4),
        (None, 3, 6),
        (6, 4, 8),
        (8, 4, 8),
    ],
)
def test_length_of_a_batch(max_length: int | None, multiple: int | None, length: int) -> None:
    collator = MaskedDiffusionCollator(11, max_length=max_length, pad_to_multiple_of=multiple)
    batch = collator(ROWS)
    assert batch["input_ids"].shape == batch["maskable"].shape == (3, length)
    assert batch["input_ids"][:, 4:].eq(11).all()
    assert batch["maskable"][:, 4:].all()


def test_draws_no_noise() -> None:
    """The same rows give the same batch, and no generator moves."""
    before = torch.get_rng_state()
    first, second = MaskedDiffusionCollator(11)(ROWS), MaskedDiffusionCollator(11)(ROWS)
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in first.items():
        if isinstance(tensor, torch.Tensor):
            torch.testing.assert_close(tensor, second[name], rtol=0, atol=0)
        else:
            assert tensor == second[name]


def test_rows_of_a_data_set_in_a_loader() -> None:
    dataset = Dataset.from_list(ROWS)
    for rows in (dataset, dataset.with_format("torch")):
        (batch,) = DataLoader(rows, batch_size=3, collate_fn=MaskedDiffusionCollator(11, pad_in_loss=False))
        for name, tensor in MaskedDiffusionCollator(11, pad_in_loss=False)(ROWS).items():
            torch.testing.assert_close(
                tuple(batch[name]) if name == "host_example_id" else batch[name], tensor, rtol=0, atol=0
            )


@pytest.mark.parametrize("column", ["input_ids", "prompt_length", "example_id"])
def test_missing_column(column: str) -> None:
    rows = [ROWS[0], {name: value for name, value in ROWS[1].items() if name != column}]
    with pytest.raises(LiftError, match=rf"lacks {column} \(it has .*\); .*set remove_unused_columns=False"):
        MaskedDiffusionCollator(11)(rows)


PACKED: list[dict[str, Any]] = [
    {
        "input_ids": [5, 6, 7, 8, 9, 3], "segment_lengths": [3, 1, 2], "segment_prompt_lengths": [1, 0, 2], "example_id": 40,
    },
    {"input_ids": [4, 2], "segment_lengths": [2], "segment_prompt_lengths": [0], "example_id": 7},
]  # fmt: skip


def test_packed_rows_keep_their_examples_apart() -> None:
    batch = MaskedDiffusionCollator(11, pad_in_loss=False, max_length=7)(PACKED)
    assert set(batch) == {
        "input_ids",
        "maskable",
        "example_id",
        "host_example_id",
        "lengths",
        "attention_mask",
        "position_ids",
    }
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 3, 11], [4, 2, 11, 11, 11, 11, 11]]
    assert batch["maskable"].int().tolist() == [[0, 1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0, 0]]
    assert batch["attention_mask"].shape == (2, 1, 7, 7) and batch["attention_mask"].dtype == torch.bool
    blocks = [torch.ones(n, n, dtype=torch.bool) for n in (3, 1, 2, 1)], [torch.ones(n, n) > 0 for n in (2, 5)]
    for mask, block in zip(batch["attention_mask"][:, 0], blocks, strict=True):
        assert torch.equal(mask, torch.block_diag(*block))


def test_what_nothing_predicts_is_not_masked() -> None:
    """A model that predicts the next position says nothing of the first of a row, nor of each packed example."""
    batch = MaskedDiffusionCollator(11, predicts_next=True)(ROWS)
    assert batch["maskable"].int().tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]]
    batch = MaskedDiffusionCollator(11, pad_in_loss=False, predicts_next=True)(PACKED)
    assert batch["maskable"].int().tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("column", ["segment_prompt_lengths", "example_id"])
def test_missing_column_of_a_packed_row(column: str) -> None:
    rows = [{name: value for name, value in PACKED[0].items() if name != column}]
    with pytest.raises(LiftError, match=f"a row of the batch lacks {column} "):
        MaskedDiffusionCollator(11, pad_in_loss=False)(rows)


def test_bad_batches_and_options() -> None:
    with pytest.raises(LiftError, match="a batch must have at least one row, got none"):
        MaskedDiffusionCollator(11)([])
    with pytest.raises(
        LiftError, match="packed rows cannot train their padding, which is no example's: set pad_in_loss=False"
    ):
        MaskedDiffusionCollator(11)(PACKED)
    with pytest.raises(LiftError, match="example 40 has 4 tokens, more than max_length=3; prepare"):
        MaskedDiffusionCollator(11, max_length=3)(ROWS)
    with pytest.raises(LiftError, match="max_length must be at least 1, got 0"):
        MaskedDiffusionCollator(11, max_length=0)
    with pytest.raises(LiftError, match="pad_to_multiple_of must be at least 1, got -8"):
        MaskedDiffusionCollator(11, pad_to_multiple_of=-8)


def test_rows_are_filled_to_their_next_block_and_trained_there():
    rows = [{"input_ids": [5] * n, "prompt_length": 2, "example_id": n} for n in (8, 5, 3)]
    batch = MaskedDiffusionCollator(0, pad_in_loss=False, block_size=4, block_fill_id=1, pad_to_multiple_of=6)(rows)
    assert batch["input_ids"].tolist() == [[5] * 8 + [0] * 4, [5] * 5 + [1] * 3 + [0] * 4, [5] * 3 + [1] + [0] * 8]
    assert batch["maskable"].int().tolist() == [[0, 0] + [1] * 6 + [0] * 4] * 2 + [[0, 0, 1, 1] + [0] * 8]
    assert batch["attention_mask"].sum(1).tolist() == [8, 8, 4] and batch["lengths"] == (8, 8, 4)


def test_without_a_token_to_fill_with_blocks_are_completed_by_padding():
    rows = [{"input_ids": [5] * 5, "prompt_length": 2, "example_id": 0}]
    batch = MaskedDiffusionCollator(0, block_size=4)(rows)
    assert batch["input_ids"].tolist() == [[5] * 5 + [0] * 3] and batch["lengths"] == (5,)
    assert batch["maskable"].int().tolist() == [[0, 0] + [1] * 6] and batch["padding"].multiple == 4


def test_packed_rows_are_not_filled():
    row = {"input_ids": [5] * 5, "segment_lengths": [5], "segment_prompt_lengths": [1], "example_id": 0}
    with pytest.raises(LiftError, match="set block_padding=pad"):
        MaskedDiffusionCollator(0, pad_in_loss=False, block_size=4, block_fill_id=1)([row])


def test_padding_in_turn_begins_anew_behind_each_row():
    rows = [{"input_ids": [5] * n, "prompt_length": 1, "example_id": n} for n in (7, 4, 2)]
    batch = MaskedDiffusionCollator(10, more_pad_ids=(11, 12))(rows)
    assert batch["input_ids"][1:].tolist() == [[5] * 4 + [10, 11, 12], [5] * 2 + [10, 11, 12, 10, 11]]
    assert batch["maskable"][:, 1:].all() and batch["padding"].more_ids == (11, 12)

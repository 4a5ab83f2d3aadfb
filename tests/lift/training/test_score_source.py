"""Which score source a configuration asks for, and that a resume brings it back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lift.data import pack_dataset
from lift.learnability import ScoreCache
from lift.training.score_source import load_scores, score_source_for
from tests.lift.support.tiny import tiny_model, uneven_rows
from tests.lift.support.trainers import (
    make_trainer,
    weights,
)
from tests.transformers_version import needs_packing


def test_a_resumed_cache_is_the_same_cache(tmp_path):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "method": "lift2", "score_source": "cache"}
    whole = make_trainer(tmp_path / "whole", **options)
    whole.train()
    resumed = make_trainer(tmp_path / "resumed", tiny_model(seed=5), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert all(map(torch.equal, weights(whole.model), weights(resumed.model)))
    ids = torch.arange(24)
    assert torch.equal(whole._scorer.source.scores(ids, 32), resumed._scorer.source.scores(ids, 32))


def source_for(score_source: str, rows, *, collator: Any = None, **options) -> Any:
    args = SimpleNamespace(**{
        "score_source": score_source, "pad_in_loss": False, "score_decay": 0.25, "process_index": 1, "world_size": 3,
        "disable_tqdm": True, **options,
    })  # fmt: skip
    return score_source_for(SimpleNamespace(args=args, data_collator=collator, train_dataset=rows), 8, pad_token_id=0)


def test_the_model_itself_needs_no_source():
    assert source_for("model", uneven_rows(4)) is None


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_frequencies_are_those_of_the_responses_and_of_padding_where_it_is_trained(pad_in_loss):
    rows = uneven_rows(9)
    counts = torch.zeros(8, dtype=torch.float64)
    for row in rows:
        for token in row["input_ids"][row["prompt_length"] :]:
            counts[token] += 1
    if pad_in_loss:
        lengths = [len(row["input_ids"]) for row in rows]
        counts[0] += sum(max(lengths) - length for length in lengths)
    source = source_for("frequency", rows, pad_in_loss=pad_in_loss)
    truth = ((counts + 1) / (counts.sum() + 8)).log()
    torch.testing.assert_close(source.log_frequency.double(), truth, rtol=1e-6, atol=0)


def test_frequencies_leave_out_the_context_between_responses():
    rows = [
        {"input_ids": [7, 1, 7, 2, 2], "prompt_length": 1, "response_spans": [1, 2, 3, 5], "example_id": 0},
        {"input_ids": [7, 7, 3], "prompt_length": 2, "response_spans": [2, 3], "example_id": 1},
    ]
    counts = torch.tensor([2, 1, 2, 1, 0, 0, 0, 0])  # two pads of the shorter row among them
    source = source_for("frequency", rows, pad_in_loss=True)
    torch.testing.assert_close(source.log_frequency, ((counts + 1) / (6 + 8)).log())


@needs_packing
def test_frequencies_of_packed_rows_are_those_of_their_examples():
    packed = source_for("frequency", pack_dataset(uneven_rows(), max_length=40))
    assert torch.equal(packed.log_frequency, source_for("frequency", uneven_rows()).log_frequency)


@pytest.mark.parametrize(
    ("collator", "length"),
    [
        (None, 19),
        (SimpleNamespace(max_length=None, pad_to_multiple_of=16), 32),
        (SimpleNamespace(max_length=40, pad_to_multiple_of=None), 40),
        (SimpleNamespace(max_length=40, pad_to_multiple_of=16), 48),
    ],
)
def test_a_cache_has_room_for_every_example_and_the_widest_batch(collator, length):
    rows = [row | {"example_id": 3 * row["example_id"]} for row in uneven_rows(7)]  # some were dropped
    assert max(len(row["input_ids"]) for row in rows) == 19
    cache = source_for("cache", rows, collator=collator)
    assert cache.shape == (19, length)
    assert (cache.decay, cache.rank, cache.num_processes) == (0.25, 1, 3)


def test_no_rows_still_make_a_cache():
    assert source_for("cache", []).shape == (1, 1)


def test_a_checkpoint_gives_the_cache_of_the_same_process_back(tmp_path):
    for rank in range(3):
        cache = ScoreCache(4, 5, decay=0.25, rank=rank, num_processes=3)
        cache.update(torch.tensor([rank]), torch.ones(1, 5, dtype=torch.bool), torch.full((1, 5), -1.0 - rank))
        cache.save(tmp_path)
    loaded = load_scores(source_for("cache", [{"example_id": 3, "input_ids": [0] * 5}]), str(tmp_path))
    assert (loaded.shape, loaded.decay, loaded.rank, loaded.num_processes) == ((4, 5), 0.25, 1, 3)
    assert torch.equal(
        loaded.scores(torch.arange(4), 5),
        ScoreCache.load(tmp_path, 4, 5, rank=1, num_processes=3).scores(torch.arange(4), 5),
    )
    assert loaded.scores(torch.tensor([1]), 5).tolist() == [[-2.0] * 5]


def test_a_table_of_frequencies_is_not_read_again(tmp_path):
    source = source_for("frequency", uneven_rows(4))
    assert load_scores(source, str(tmp_path)) is source

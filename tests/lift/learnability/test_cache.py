"""`ScoreCache` against its definition, position by position."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.errors import LiftError
from lift.learnability import ScoreCache
from tests.lift.support.plain_cache import (
    IDS,
    MAX_LENGTH,
    NUM_EXAMPLES,
    PlainCache,
    batches,
    everything,
    random_batch,
    update,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(batches(), max_size=8), st.integers(1, 4), st.booleans())
def test_the_cache_is_the_plain_one(updates, max_pending, reads_between):
    cache, plain = ScoreCache(NUM_EXAMPLES, MAX_LENGTH, max_pending=max_pending, decay=0.5), PlainCache(0.5)
    for batch in updates:
        update(cache, batch)
        plain.update(*batch)
        if reads_between:
            ids, positions, _ = batch
            length = len(positions[0])
            assert torch.equal(cache.scores(torch.tensor(ids), length), plain.scores(ids, length).float())
    assert torch.equal(everything(cache), plain.scores(IDS.tolist(), MAX_LENGTH).float())


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.99])
def test_long_averages_stay_with_the_plain_ones(decay):
    generator = torch.Generator().manual_seed(1)
    cache, plain = ScoreCache(NUM_EXAMPLES, MAX_LENGTH, decay=decay), PlainCache(decay)
    for _ in range(200):
        batch = random_batch(generator, [1, 3])
        cache.update(*batch)
        plain.update(*(x.tolist() for x in batch))
    torch.testing.assert_close(everything(cache).double(), plain.scores(range(5), MAX_LENGTH), rtol=0, atol=2e-5)


def test_unseen_tokens_score_zero_at_first_and_then_the_mean():
    cache = ScoreCache(NUM_EXAMPLES, MAX_LENGTH)
    assert torch.equal(everything(cache), torch.zeros(NUM_EXAMPLES, MAX_LENGTH))
    cache.update(torch.tensor([2]), torch.tensor([[True, False, True]]), torch.tensor([[-1.0, -50.0, -4.0]]))
    expected = torch.full((NUM_EXAMPLES, MAX_LENGTH), -2.5)
    expected[2, 0], expected[2, 2] = -1, -4
    assert torch.equal(everything(cache), expected)
    cache.update(
        torch.tensor([2]), torch.tensor([[True]]), torch.tensor([[math.nan]])
    )  # a diverged step teaches nothing
    assert torch.equal(everything(cache), expected)


def test_what_came_in_is_not_what_the_caller_changes_later():
    cache = ScoreCache(NUM_EXAMPLES, MAX_LENGTH)
    cache.update(torch.tensor([4]), torch.tensor([[True]]), torch.tensor([[-3.0]]))
    ids, positions, log_prob = torch.tensor([1]), torch.tensor([[True]]), torch.tensor([[-1.0]], requires_grad=True)
    cache.update(ids, positions, log_prob)
    with torch.no_grad():
        ids.fill_(3), positions.fill_(False), log_prob.fill_(-9)
    assert not everything(cache).requires_grad
    expected = torch.full((NUM_EXAMPLES, MAX_LENGTH), -2.0)
    expected[4, 0], expected[1, 0] = -3, -1
    assert torch.equal(everything(cache), expected)
    everything(cache).fill_(7)
    assert torch.equal(everything(cache), expected)


def test_an_accelerator_is_read_only_for_a_pending_example_or_a_full_queue():
    """Tensors on the meta device have no values: whatever reads one fails."""

    def observe(ids: list[int]) -> None:
        cache.update(
            torch.tensor(ids),
            torch.ones(len(ids), 4, dtype=torch.bool, device="meta"),
            torch.zeros(len(ids), 4, device="meta"),
        )

    cache = ScoreCache(NUM_EXAMPLES, MAX_LENGTH, max_pending=3)
    clean_ids = torch.zeros(2, 4, dtype=torch.int64, device="meta")
    observe([0, 1])
    scores = cache.score_batch(torch.tensor([2, 3]), clean_ids)
    assert scores.shape == (2, 4) and scores.device.type == "meta" and scores.dtype == torch.float32
    observe([2])
    with pytest.raises(NotImplementedError, match="meta"):
        cache.score_batch(torch.tensor([4, 1]), clean_ids)

    cache = ScoreCache(NUM_EXAMPLES, MAX_LENGTH, max_pending=2)
    observe([0])
    with pytest.raises(NotImplementedError, match="meta"):
        observe([1])


@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_resumed_cache_continues_to_the_bit(tmp_path, is_mapped):
    path = tmp_path / "work" if is_mapped else None
    options = {"decay": 0.7, "max_pending": 4}
    generator = torch.Generator().manual_seed(2)
    whole = ScoreCache(NUM_EXAMPLES, MAX_LENGTH, path, **options)
    for _ in range(7):
        whole.update(*random_batch(generator, [0, 3, 4]))
    assert (everything(whole)[1] < 0).all()  # never trained: the mean
    whole.save(tmp_path / "checkpoint")
    resumed = ScoreCache.load(tmp_path / "checkpoint", NUM_EXAMPLES, MAX_LENGTH, None, **options)
    assert torch.equal(everything(resumed), everything(whole))
    for ids in ([0, 1], [3, 4], [1, 1]):
        batch = random_batch(generator, ids)
        whole.update(*batch)
        resumed.update(*batch)
        assert torch.equal(everything(resumed), everything(whole))
    for cache, name in ((whole, "a"), (resumed, "b")):
        cache.save(tmp_path / name)
    (a,), (b,) = (list((tmp_path / name).iterdir()) for name in "ab")
    assert a.read_bytes() == b.read_bytes() and a.name == "score_cache-00000-of-00001.safetensors"
    assert not is_mapped or not list(path.iterdir())  # the working file has no name, so a crash leaves none


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"num_examples": 0}, "num_examples must be at least 1, got 0"),
        ({"max_length": -1}, "max_length must be at least 1, got -1"),
        ({"max_pending": 0}, "max_pending must be at least 1, got 0"),
        ({"decay": 1.0}, "decay must be at least 0 and below 1, got 1.0"),
        ({"rank": 2, "num_processes": 2}, "rank must lie between 0 and 1, got 2"),
    ],
)
def test_numbers_out_of_range_are_refused(options, complaint):
    with pytest.raises(LiftError, match=complaint):
        ScoreCache(**({"num_examples": 3, "max_length": 4} | options))


def test_a_working_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LiftError, match="finds no place for 3 x 4 values"):
        ScoreCache(3, 4, tmp_path / "file")


@pytest.mark.parametrize("example", [-1, NUM_EXAMPLES])
def test_batches_beyond_the_cache_are_refused(example):
    cache = ScoreCache(NUM_EXAMPLES, MAX_LENGTH)
    ids, too_long = torch.tensor([0, example]), torch.zeros(1, MAX_LENGTH + 1)
    with pytest.raises(LiftError, match=f"example {example} is outside the score cache of 5 examples"):
        cache.scores(ids, 2)
    with pytest.raises(LiftError, match=f"example {example} is outside"):
        cache.update(ids, torch.ones(2, 2, dtype=torch.bool), torch.zeros(2, 2))
    with pytest.raises(LiftError, match="rows of 7 tokens, more than the score cache's 6"):
        cache.scores(ids[:1], MAX_LENGTH + 1)
    with pytest.raises(LiftError, match="rows of 7 tokens"):
        cache.update(ids[:1], too_long.bool(), too_long)
    for shapes in (((2,), (2, 3), (2, 2)), ((1,), (2, 3), (2, 3)), ((2,), (2,), (2,))):
        with pytest.raises(LiftError, match=r"takes example_id \(B,\), positions"):
            cache.update(*(torch.zeros(shape, dtype=torch.int64) for shape in shapes))
    assert not everything(cache).any()

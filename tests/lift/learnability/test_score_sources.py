from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lift.errors import LiftError
from lift.learnability import ScoreCache, ScoreSource, TokenFrequency
from lift.objectives import lift_batch
from tests.lift.support.tiny import tiny_rows

NUM_EXAMPLES, MAX_LENGTH = 5, 6
IDS = torch.arange(NUM_EXAMPLES)


class PlainCache:
    """The definition, position by position in dictionaries; one for each process."""

    def __init__(self, decay: float, value=None, total: float = 0.0, count: int = 0) -> None:
        self.decay, self.value, self.total, self.count = decay, dict(value or {}), total, count
        self.own: set[tuple[int, int]] = set()

    def update(self, ids, positions, log_prob) -> None:
        for example, row, values in zip(ids, positions, log_prob, strict=True):
            for position, (is_trained, new) in enumerate(zip(row, values, strict=True)):
                if is_trained and math.isfinite(new):
                    old = self.value.get((example, position), new)
                    self.value[example, position] = self.decay * old + (1 - self.decay) * new
                    self.total, self.count = self.total + new, self.count + 1
                    self.own.add((example, position))

    def scores(self, ids, length) -> torch.Tensor:
        mean = self.total / max(self.count, 1)
        values = [[self.value.get((example, position), mean) for position in range(length)] for example in ids]
        return torch.tensor(values, dtype=torch.float64).reshape(len(ids), length)


@st.composite
def batches(draw, largest: int = 3):
    size, length = draw(st.integers(1, largest)), draw(st.integers(1, MAX_LENGTH))
    # With decay 1/2 and sixteenths every average of a dozen is exact in float32: the comparison needs no tolerance.
    log_prob = st.one_of(st.integers(-160, 0).map(lambda n: n / 16), st.sampled_from([math.nan, -math.inf]))
    rows = st.lists(st.lists(log_prob, min_size=length, max_size=length), min_size=size, max_size=size)
    trained = st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=size, max_size=size)
    ids = st.lists(st.integers(0, NUM_EXAMPLES - 1), min_size=size, max_size=size)  # may repeat
    return draw(ids), draw(trained), draw(rows)


def update(cache, batch) -> None:
    ids, positions, log_prob = batch
    cache.update(torch.tensor(ids), torch.tensor(positions), torch.tensor(log_prob))


def random_batch(generator: torch.Generator, ids: list[int]):
    log_prob = -10 * torch.rand(len(ids), MAX_LENGTH, generator=generator)
    positions = torch.rand(len(ids), MAX_LENGTH, generator=generator) < 0.6
    return torch.tensor(ids), positions, log_prob


def everything(cache: ScoreCache) -> torch.Tensor:
    return cache.scores(IDS, MAX_LENGTH)


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


def test_the_file_is_a_safetensors_file(tmp_path):
    cache = ScoreCache(NUM_EXAMPLES, MAX_LENGTH)
    cache.update(torch.tensor([1]), torch.tensor([[False, True]]), torch.tensor([[0.0, -3.0]]))
    cache.save(tmp_path)
    saved = load_file(tmp_path / "score_cache-00000-of-00001.safetensors")
    assert saved["value"].nan_to_num(7).unique().tolist() == [-3, 7] and saved["value"][1, 1] == -3
    assert saved["is_own"].nonzero().tolist() == [[1, 1]]
    assert saved["totals"].tolist() == [[0, 0], [-3, 1]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(batches(), max_size=3), min_size=6, max_size=6), st.sampled_from([(2, 1), (1, 3), (3, 2)]))
def test_another_number_of_processes_takes_over(tmp_path_factory, updates, numbers):
    """Train as `before` processes, then as `after`, then look as one more, against the dictionaries."""
    folder = tmp_path_factory.mktemp("run")
    sizes, merged = (NUM_EXAMPLES, MAX_LENGTH), PlainCache(0.5)
    for stage, num_processes in enumerate(numbers):
        plain = [PlainCache(0.5, merged.value, merged.total, merged.count) for _ in range(num_processes)]
        for rank in range(num_processes):
            options = {"decay": 0.5, "rank": rank, "num_processes": num_processes}
            cache = ScoreCache.load(folder / "0", *sizes, **options) if stage else ScoreCache(*sizes, **options)
            assert torch.equal(everything(cache), merged.scores(IDS.tolist(), MAX_LENGTH).float())
            for batch in updates[3 * stage + rank]:
                update(cache, batch)
                plain[rank].update(*batch)
            cache.save(folder / str(stage))
        for key in set().union(*(one.own for one in plain)):
            owned = [one.value[key] for one in plain if key in one.own]
            merged.value[key] = float(np.float32(math.fsum(owned) / len(owned)))
        total, count = merged.total, merged.count  # each process began with these
        merged.total += sum(one.total - total for one in plain)
        merged.count += sum(one.count - count for one in plain)
    last = ScoreCache.load(folder / "1", *sizes, rank=1, num_processes=num_processes + 1)
    expected = merged.scores(IDS.tolist(), MAX_LENGTH)
    torch.testing.assert_close(everything(last).double(), expected, rtol=1e-6, atol=0)


def test_as_many_processes_as_before_get_their_own_shards_back(tmp_path):
    generator = torch.Generator().manual_seed(3)
    caches = [ScoreCache(NUM_EXAMPLES, MAX_LENGTH, rank=rank, num_processes=2) for rank in range(2)]
    for cache in caches:
        cache.update(*random_batch(generator, [0, 1]))
        cache.save(tmp_path)
    assert not torch.equal(everything(caches[0]), everything(caches[1]))
    for rank, cache in enumerate(caches):
        resumed = ScoreCache.load(tmp_path, NUM_EXAMPLES, MAX_LENGTH, rank=rank, num_processes=2)
        assert torch.equal(everything(resumed), everything(cache))
        resumed.save(tmp_path / "again")
        name = f"score_cache-0000{rank}-of-00002.safetensors"
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_merge_in_many_blocks_is_the_merge_in_one(tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(4)
    for rank in range(2):
        cache = ScoreCache(NUM_EXAMPLES, MAX_LENGTH, rank=rank, num_processes=2)
        cache.update(*random_batch(generator, [0, 1, 2, 4]))
        cache.save(tmp_path)
    whole = everything(ScoreCache.load(tmp_path, NUM_EXAMPLES, MAX_LENGTH))
    monkeypatch.setattr("lift.learnability.shards._BLOCK", 2 * MAX_LENGTH + 1)  # 2 + 2 + 1 rows
    assert torch.equal(everything(ScoreCache.load(tmp_path, NUM_EXAMPLES, MAX_LENGTH)), whole)
    assert whole[4].unique().numel() > 1


_KILLED_WRITER = """
import os, resource, signal, sys
import torch
from lift.learnability import ScoreCache

cache = ScoreCache.load(sys.argv[1], 5, 6)
cache.update(torch.arange(5), torch.ones(5, 6, dtype=torch.bool), torch.full((5, 6), -8.0))
print("ready", flush=True)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
cache.save(sys.argv[1])
print("saved")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system has no limit on the size of files")
def test_a_writer_killed_halfway_leaves_the_old_file(tmp_path):
    old = ScoreCache(5, 6)
    old.update(*random_batch(torch.Generator().manual_seed(5), [0, 2]))
    old.save(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", _KILLED_WRITER, str(tmp_path)],
        cwd=Path(__file__).parents[3], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (-signal.SIGXFSZ, "ready\n"), result.stderr
    assert len(list(tmp_path.iterdir())) == 2  # the old file, and what the killed process left of the new one
    assert torch.equal(everything(ScoreCache.load(tmp_path, 5, 6)), everything(old))


def saved_cache(folder: Path, *, num_processes: int = 1, ranks: tuple[int, ...] = (0,)) -> None:
    for rank in ranks:
        ScoreCache(NUM_EXAMPLES, MAX_LENGTH, rank=rank, num_processes=num_processes).save(folder)


def test_folders_that_hold_no_cache_of_this_run_are_refused(tmp_path):
    with pytest.raises(LiftError, match="no score cache in"):
        ScoreCache.load(tmp_path, NUM_EXAMPLES, MAX_LENGTH)
    saved_cache(tmp_path / "one")
    for sizes in ((NUM_EXAMPLES + 1, MAX_LENGTH), (NUM_EXAMPLES, MAX_LENGTH - 1)):
        with pytest.raises(LiftError, match=f"cache of 5 examples of up to 6 tokens, this run has {sizes[0]} of up to"):
            ScoreCache.load(tmp_path / "one", *sizes)
    saved_cache(tmp_path / "torn", num_processes=3, ranks=(0, 2))
    with pytest.raises(LiftError, match="lacks the part of process 1 of 3"):
        ScoreCache.load(tmp_path / "torn", NUM_EXAMPLES, MAX_LENGTH)
    saved_cache(tmp_path / "one", num_processes=2, ranks=(0, 1))
    with pytest.raises(LiftError, match="runs with 1 and 2 processes"):
        ScoreCache.load(tmp_path / "one", NUM_EXAMPLES, MAX_LENGTH)


def test_a_damaged_shard_and_one_of_another_run_are_refused(tmp_path):
    saved_cache(tmp_path, num_processes=2, ranks=(0, 1))
    second = tmp_path / "score_cache-00001-of-00002.safetensors"
    shard = load_file(second)
    save_file(shard | {"totals": shard["totals"] - 1}, second)
    with pytest.raises(LiftError, match="come from different runs"):
        ScoreCache.load(tmp_path, NUM_EXAMPLES, MAX_LENGTH)
    second.write_bytes(second.read_bytes()[:-1])
    with pytest.raises(LiftError, match="is damaged"):
        ScoreCache.load(tmp_path, NUM_EXAMPLES, MAX_LENGTH)


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


def test_frequencies_of_the_responses_with_one_added():
    rows, prompts = [[1, 1, 2, 3, 2], [3, 0, 2], [4]], [2, 1, 1]
    frequency = TokenFrequency.count(rows, 5, prompts)
    counts = torch.tensor([1, 0, 3, 1, 0], dtype=torch.float64)  # 2 3 2, 0 2, nothing
    expected = ((counts + 1) / (5 + 5)).log()
    torch.testing.assert_close(frequency.scores(torch.arange(5)[None])[0].double(), expected, rtol=1e-6, atol=0)
    padded = TokenFrequency.count(rows, 5, prompts, pad_token_id=1)
    counts[1] = 2 + 4
    expected = ((counts + 1) / (11 + 5)).log()
    torch.testing.assert_close(padded.scores(torch.arange(5)[None])[0].double(), expected, rtol=1e-6, atol=0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.integers(0, 9)), max_size=6))
def test_frequencies_sum_to_one_and_count_each_response_token(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lift.learnability.frequency._BLOCK", 5)  # several blocks
        frequency = TokenFrequency.count([ids for ids, _ in rows], 7, [prompt for _, prompt in rows])
    response = [token for ids, prompt in rows for token in ids[prompt:]]
    expected = [math.log((response.count(token) + 1) / (len(response) + 7)) for token in range(7)]
    np.testing.assert_allclose(frequency.log_frequency.double().numpy(), expected, rtol=1e-6)


def test_frequencies_are_kept_to_the_bit_and_refused_for_another_vocabulary(tmp_path):
    frequency = TokenFrequency.count([[0, 1, 1, 2]], 8, [0])
    frequency.save(tmp_path / "new")
    assert torch.equal(TokenFrequency.load(tmp_path / "new", 8).log_frequency, frequency.log_frequency)
    with pytest.raises(LiftError, match="vocabulary of 8, the model's has 9"):
        TokenFrequency.load(tmp_path / "new", 9)
    with pytest.raises(LiftError, match=r"no token_frequency.safetensors in"):
        TokenFrequency.load(tmp_path, 8)
    path = tmp_path / "new" / "token_frequency.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LiftError, match="is damaged"):
        TokenFrequency.load(tmp_path / "new", 8)


def test_rows_that_cannot_be_counted_are_refused():
    for ids, outside in (([0, 9, 8, 1], 8), ([0, 1, -1], -1)):
        with pytest.raises(LiftError, match=f"token id {outside}, outside the model's vocabulary of 8"):
            TokenFrequency.count([ids], 8, [2])
    with pytest.raises(LiftError, match="each of the 2 rows needs one prompt length, got 1"):
        TokenFrequency.count([[0], [1]], 8, [0])
    with pytest.raises(LiftError, match="pad_token_id must lie between 0 and 7, got 8"):
        TokenFrequency.count([[0]], 8, [0], pad_token_id=8)
    with pytest.raises(IndexError):
        TokenFrequency.count([[0]], 8, [0]).scores(torch.tensor([[-1]]))


@pytest.mark.parametrize("kind", ["cache", "frequency"])
def test_a_trainer_can_call_any_source_in_place_of_its_scoring_forward(kind):
    """Easy rows keep the masked tokens that score highest, hard rows the lowest, whatever gave the scores."""
    rows = tiny_rows(4)
    clean_ids, example_id = torch.tensor(rows["input_ids"]), torch.tensor(rows["example_id"])
    source: ScoreSource
    if kind == "cache":
        source = ScoreCache(max(rows["example_id"]) + 1, clean_ids.shape[1])
        log_prob = -torch.rand(clean_ids.shape)
        source.update(example_id, torch.ones_like(clean_ids, dtype=torch.bool), log_prob)
    else:
        source = TokenFrequency.count(rows["input_ids"], 8, rows["prompt_length"])
        source.update(example_id, torch.ones_like(clean_ids, dtype=torch.bool), torch.zeros(clean_ids.shape))
        counts = torch.bincount(
            torch.cat([ids[n:] for ids, n in zip(clean_ids, rows["prompt_length"], strict=True)]), minlength=8
        )
        log_prob = ((counts + 1) / (counts.sum() + 8)).log()[clean_ids]
    torch.testing.assert_close(source.score_batch(example_id, clean_ids), log_prob, rtol=1e-6, atol=0)

    maskable = torch.arange(clean_ids.shape[1]) >= torch.tensor(rows["prompt_length"])[:, None]
    order = torch.tensor([1, -1, 1, -1])
    seen = {}

    def score(corrupted_ids, labels, _order):
        seen["is_masked"] = labels != -100
        return source.score_batch(example_id, clean_ids)

    half = torch.full((4,), 0.45)
    batch = lift_batch(
        clean_ids, maskable, half, half, order, score, mask_token_id=1, seed=3, example_id=example_id
    ).batch
    is_kept = batch.labels != -100
    for row in range(4):
        kept = log_prob[row][is_kept[row]] * order[row]
        rejected = log_prob[row][seen["is_masked"][row] & ~is_kept[row]] * order[row]
        assert len(kept) and len(rejected) and kept.min() >= rejected.max()

"""The score cache on disk: written whole, taken over by as many processes or by another number."""

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

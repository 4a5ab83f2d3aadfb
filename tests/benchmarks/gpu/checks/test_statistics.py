from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.checks import statistics
from benchmarks.gpu.checks.op_calls import VARIANTS
from lift_kernels import linear_token_stats
from tests.benchmarks.support import HERE, SHAPE


@pytest.mark.parametrize("path", ["default", "minimal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_right_statistics_pass(dtype, path):
    for variant in VARIANTS:
        assert not statistics.statistics(HERE, shape=SHAPE, dtype=dtype, path=path, variant=variant).failures


@pytest.mark.parametrize("wrong", ["argmax", "ignored", "entropy"])
def test_wrong_statistics_are_found(broken, wrong):
    def stats(*args, **options):
        found = linear_token_stats(*args, **options)
        if wrong == "argmax":
            return found._replace(argmax=found.argmax.where(found.argmax < 0, (found.argmax + 1) % SHAPE[2]))
        if wrong == "ignored":
            return found._replace(argmax=found.argmax.clamp(min=0))
        return found._replace(entropy=found.entropy * 1.001)

    broken(stats=stats)
    assert statistics.statistics(HERE, shape=SHAPE, dtype=torch.float32, path="default").failures


def test_a_tie_that_goes_to_the_higher_index_is_found(broken):
    assert not statistics.ties(HERE, vocab_size=300, path="default").failures
    broken(stats=lambda *a, **o: linear_token_stats(*a, **o)._replace(argmax=torch.full((3,), 8)))
    assert statistics.ties(HERE, vocab_size=300, path="default").failures

"""A cache is taken only from a model whose code keeps finished blocks exactly."""

from __future__ import annotations

import pytest
import torch

from lift.sampling.cache import BlockCache
from lift.sampling.exact_cache import has_exact_cache
from tests.lift.support.caching_decoder import caching_decoder
from tests.lift_kernels.tiny_models import build


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_code_that_keeps_finished_blocks(dtype):
    assert has_exact_cache(caching_decoder(dtype), 62)


@pytest.mark.parametrize("name", ["bert", "modernbert", "llada2", "dream"])
def test_code_that_takes_none_or_insists_on_a_square_mask(name):
    assert not has_exact_cache(build(name), 62)


def test_code_that_mixes_up_what_is_kept(monkeypatch):
    update = BlockCache.update

    def shifted(self, keys, values, layer, *args):
        keys, values = update(self, keys, values, layer, *args)
        return keys.roll(1, -2), values

    monkeypatch.setattr(BlockCache, "update", shifted)
    assert not has_exact_cache(caching_decoder(), 62)

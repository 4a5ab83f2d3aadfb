"""A loaded model is decoded as it was trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lift.evaluation.decoding import decoding_of
from lift.models.training_record import record_blocks
from lift.sampling import SamplingConfig, preset
from tests.lift.support.caching_decoder import caching_decoder
from tests.lift.support.tiny import tiny_model

BLOCKS = {"attention": "block_causal", "block_origin": "start", "block_length": 8}


def loaded(model, block_size=8):
    record_blocks(model, block_size)
    return SimpleNamespace(model=model, mask_token_id=1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, SamplingConfig(**BLOCKS, cache="prefix")),
        ({"cache": None, "steps": 4}, SamplingConfig(**BLOCKS, steps=4)),
        ({"attention": "full"}, SamplingConfig()),
        ({"attention": "block_causal"}, SamplingConfig(**BLOCKS)),
    ],
    ids=str,
)
def test_blocks_are_kept_where_they_can_be(given, expected):
    config, remark = decoding_of(loaded(caching_decoder()), given)
    assert config == expected
    assert (remark is not None) == ("attention" not in given)


def test_others_are_decoded_without_a_cache_and_samplers_with_their_own():
    assert decoding_of(loaded(tiny_model()), {}).config == SamplingConfig(**BLOCKS)
    expected = preset("llada2", block_length=8, steps_per_block=8)
    assert decoding_of(loaded(caching_decoder()), {}, sampler="llada2").config == expected
    assert decoding_of(loaded(caching_decoder(), None), {}) == (SamplingConfig(), None)


def test_a_model_without_a_record_is_not_tried():
    model = caching_decoder()
    model.register_forward_pre_hook(lambda *_: pytest.fail("asked"))
    assert decoding_of(loaded(model, None), {}).config == SamplingConfig()

"""Settings: what does not fit is one sentence, and each published sampler has its own."""

from __future__ import annotations

import pytest

from lift import LiftError, generate
from lift.sampling import PRESETS, SamplingConfig, preset
from tests.lift.support.stub_denoiser import PositionedStub


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": -1.0}, "temperature must be at least 0, got -1.0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, got 0.0"),
        ({"top_k": 1.5}, "top_k must be a whole number, got 1.5"),
        ({"remasking": "best"}, "remasking must be one of low_confidence, margin, entropy, random, left_to_right"),
        ({"threshold": 0.5, "factor": 1.0}, "threshold and factor exclude each other: leave one out"),
        (
            {"threshold": 0.5, "remasking": "entropy"},
            "threshold and factor are probabilities, which remasking='entropy'",
        ),
        ({"quota_first": True}, "quota_first says when the threshold is used: set threshold"),
        ({"schedule": "carry"}, "schedule='carry' carries what the threshold rejects: set threshold"),
        ({"attention": "block_causal", "cache": "dual"}, "cache='dual' needs attention='full'"),
        ({"editing_threshold": 0.9}, "editing_threshold needs attention='block_causal'"),
        ({"infill": True, "cache": "prefix"}, "infill needs attention='full' and no cache"),
    ],
)
def test_what_does_not_fit_is_refused(options, sentence):
    with pytest.raises(LiftError, match=sentence):
        SamplingConfig(**options)


def test_settings_are_changed_by_name():
    config = SamplingConfig(steps=4).changed(temperature=0.5, stop_ids=[3, 4])
    assert (config.steps, config.temperature, config.stop_ids) == (4, 0.5, (3, 4))
    with pytest.raises(LiftError, match="'step' is no setting of SamplingConfig: attention, "):
        config.changed(step=3)


def test_published_defaults():
    llada2, llada21, sdar = (preset(name) for name in ("llada2", "llada2.1", "sdar"))
    assert (llada2.block_length, llada2.threshold, llada2.steps_per_block, llada2.minimal_topk) == (32, 0.95, 32, 1)
    assert (llada21.editing_threshold, llada21.max_post_steps, llada21.num_to_transfer) == (0.9, 16, 1)
    assert (sdar.temperature, sdar.block_length, sdar.threshold) == (1.0, 4, 0.85)
    assert preset("dream").score_temperature and preset("dream").filter_order == "top_p_first"
    for name in PRESETS:
        assert preset(name).mask_token == "never" and preset(name, reference_quirks=True).mask_token == "commit"
        assert preset(name, gen_length=7).gen_length == 7
    with pytest.raises(LiftError, match="sampler must be one of llada, lift, dream"):
        preset("d1")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "gen_length must be given"),
        ({"sampler": "llada", "config": SamplingConfig()}, "sampler and config both say how to decode"),
        ({"reference_quirks": True}, "reference_quirks are those of a published sampler: set sampler"),
    ],
)
def test_settings_of_generate_that_do_not_fit_are_refused(options, sentence):
    import torch

    model = PositionedStub({"seed": 1, "vocab_size": 8, "mask_token_id": 7})
    with pytest.raises(LiftError, match=sentence):
        generate(model, torch.zeros(1, 2, dtype=torch.int64), **options)

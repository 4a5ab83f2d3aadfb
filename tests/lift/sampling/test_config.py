"""Settings: what does not fit is one sentence."""

from __future__ import annotations

import pytest

from lift import LiftError, generate
from lift.sampling import SamplingConfig
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


@pytest.mark.parametrize(
    ("options", "draws"),
    [({}, False), ({"remasking": "margin"}, False), ({"remasking": "random"}, True), ({"schedule": "bernoulli"}, True),
     ({"temperature": 0.1}, True), ({"position_temperature": 0.1}, True)],
)  # fmt: skip
def test_it_is_known_whether_chance_decides(options, draws):
    assert SamplingConfig(**options).draws == draws


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

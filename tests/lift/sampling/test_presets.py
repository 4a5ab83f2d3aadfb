"""Published samplers by name; that each decodes as its code did is what `test_replay` shows."""

from __future__ import annotations

import dataclasses

import pytest

from lift import LiftError
from lift.sampling import PRESETS, SamplingConfig, preset


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


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_what_it_says_and_a_caller_wins(name):
    found, default = preset(name), SamplingConfig()
    for field in dataclasses.fields(found):
        assert getattr(found, field.name) == PRESETS[name].get(field.name, getattr(default, field.name))
    assert preset(name, seed=9, early_stop=True).early_stop and preset(name, seed=9).seed == 9
    with pytest.raises(TypeError):
        PRESETS[name] = {}


def test_quirks_that_depend_on_other_settings():
    """One chained assignment of LLaDA's code clears the last id alone where tokens are drawn; its caches know no idle steps."""
    ids = {"suppress_score_ids": (4, 7)}
    assert preset("llada", reference_quirks=True, **ids).suppress_score_ids == (4, 7)
    assert preset("llada", reference_quirks=True, temperature=0.5, **ids).suppress_score_ids == (7,)
    assert preset("llada", temperature=0.5, **ids).suppress_score_ids == (4, 7)
    assert preset("llada", reference_quirks=True).idle_steps
    assert not preset("llada", reference_quirks=True, cache="prefix").idle_steps

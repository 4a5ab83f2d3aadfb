"""`LiftOptions`: what its defaults are, what the published code's are, and what does not go together."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from lift import objectives
from lift.errors import LiftError
from lift.objectives import METHODS, PUBLISHED, LiftOptions
from tests.lift.support.clean_rows import DENSITY


def test_every_published_choice_differs_from_the_default_and_is_one_of_the_field():
    hints = get_type_hints(LiftOptions)
    defaults = {field.name: field.default for field in fields(LiftOptions)}
    assert len(PUBLISHED) == 12
    for name, value in PUBLISHED.items():
        assert value != defaults[name] and value in (get_args(hints[name]) or (False, True)), name
    assert not set(PUBLISHED) & {"method", "reference_quirks", "mask_token_id"}


def test_reference_quirks_sets_what_the_published_code_does_and_the_help_says_so():
    options = LiftOptions(reference_quirks=True)
    options.resolve_options()
    assert {name: getattr(options, name) for name in PUBLISHED} == PUBLISHED
    helps = {field.name: field.metadata["help"] for field in fields(LiftOptions)}
    assert {name for name, text in helps.items() if "Published code: " in text} == set(PUBLISHED)
    assert helps["mode_scope"].endswith("Published code: batch.")


def test_the_defaults_go_together_with_every_method():
    for method, entry in METHODS.items():
        LiftOptions(method=method, time_density=DENSITY if entry.needs_density else None).resolve_options()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"method": "lift4"},
            "method must be one of sft, lift2, lift3, gift, cart, ppots, mirror, blockwise, confidence, puma, margin, easy, middle, hard, got 'lift4'",
        ),
        ({"mode_policy": "best"}, "mode_policy must be one of time, random, got 'best'"),
        ({"time_epsilon": 0.0}, "time_epsilon must be between 0 and 1"),
        ({"min_rho": 1.0}, "min_rho must be at least 0 and below 1"),
        (
            {"loss_normalizer": "mean"},
            "loss_normalizer must be one of token, sequence, batch, micro_batch, trained, got",
        ),
        (
            {"loss_normalizer": "trained", "one_forward": True},
            "loss_normalizer=trained counts tokens before the forward",
        ),
        ({"loss_denominator": 0.0}, "loss_denominator must be above 0, got 0.0"),
        ({"learnability": "soft"}, "learnability=soft belongs to one_forward"),
        (
            {"one_forward": True, "method": "sft"},
            "one_forward belongs to the methods that select tokens, got method='sft'",
        ),
        ({"method": "lift2", "complementary": True}, "complementary masks belong to the middle mode"),
        ({"complementary": True, "one_forward": True}, "complementary masks need a forward of their own"),
        ({"method": "gift", "score_source": "cache"}, "score_source=cache replaces the scoring forward"),
        ({"score_source": "memory"}, "score_source must be one of model, cache, frequency, got 'memory'"),
        ({"timestep_distribution": "fixed"}, "fixed_timestep and timestep_distribution=fixed belong together"),
        ({"fixed_timestep": 0.5}, "fixed_timestep and timestep_distribution=fixed belong together"),
        ({"puma_phases": 0}, "puma_phases must be at least 1, got 0"),
        ({"puma_threshold": 1.0}, "puma_threshold must be between 0 and 1, both excluded, got 1.0"),
        (
            {"method": "puma", "timestep_distribution": "discrete"},
            "timestep_distribution=discrete draws times, and method='puma' goes by phases: leave it out",
        ),
        ({"method": "puma", "time_range": [0.3, 0.8]}, "time_range=.* draws times, and method='puma' goes by phases"),
        ({"cart_p": 1.0}, "cart_p must be between 0 and 1"),
        ({"max_rho": 0.0}, "max_rho must be above 0"),
        ({"min_keep": -1}, "min_keep must be at least 0"),
        ({"one_forward": True, "learnability": "firm"}, "learnability must be one of hard, soft"),
        ({"one_forward": True, "soft_temperature": 0.0}, "soft_temperature must be above 0"),
        ({"one_forward": True, "shift_first": "zeros"}, "shift_first=zeros has no one_forward form"),
        ({"one_forward": True, "score_source": "cache"}, "which method='lift3' with one_forward does not have"),
        ({"time_epsilon": float("nan")}, "time_epsilon must be between 0 and 1"),
        ({"score_decay": 1.0}, "score_decay must be at least 0 and below 1"),
    ],
)
def test_a_field_outside_its_range(options, message):
    with pytest.raises(LiftError, match=message):
        LiftOptions(**options).resolve_options()


def test_the_published_code_ignores_the_shift_in_one_forward_too():
    LiftOptions(one_forward=True, reference_quirks=True).resolve_options()
    LiftOptions(one_forward=True, shift_first="zeros", lift_ignores_shift=True).resolve_options()


def test_a_floor_of_kept_tokens_may_be_zero_and_a_decay_too():
    LiftOptions(
        min_keep=0, score_decay=0.0, max_rho=1.0, timestep_distribution="fixed", fixed_timestep=1.0
    ).resolve_options()


def test_the_readme_stars_the_options_of_the_published_code():
    table = (Path(objectives.__file__).parent / "README.md").read_text(encoding="utf-8").split("## Quirks")[1]
    starred = re.findall(r"`(\w+)(?:=(\w+))?` \*", table)
    assert {name for name, _ in starred} == set(PUBLISHED)
    assert {name: value for name, value in starred if value} == {
        name: str(value) for name, value in PUBLISHED.items() if value is not True
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"attention": "blocks"}, "attention must be one of full, block, got 'blocks'"),
        ({"attention": "full", "block_size": 4}, "block_size belongs to attention=block"),
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"keep_rounding": "up"}, "keep_rounding must be one of nearest, stochastic"),
        ({"time_range": [0.3]}, "time_range takes the lowest and the highest time, got 1 numbers"),
        ({"time_range": [0.0, 0.5]}, "time_range must be above 0 and at most 1"),
        ({"time_range": [0.5, 0.3]}, "time_range must begin with the lowest time, got 0.5 and 0.3"),
    ],
)
def test_options_of_blocks_and_times_are_checked(options, sentence):
    with pytest.raises(LiftError, match=sentence):
        LiftOptions(**options).resolve_options()

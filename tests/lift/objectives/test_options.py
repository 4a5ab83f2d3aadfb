"""`LiftOptions`: what its defaults are, what the published code's are, and what does not go together."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args, get_type_hints

from lift.objectives import METHODS, PUBLISHED, LiftOptions


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
    for method in METHODS:
        LiftOptions(method=method).resolve_options()

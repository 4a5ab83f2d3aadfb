"""Fields of option dataclasses: their help, their ranges, and the sentences for what lies outside."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import pytest

from lift.errors import LiftError
from lift.fields import check_choice, check_fields, check_range, option


@dataclass
class Options:
    colour: Literal["red", "green"] = option("red", "Which colour.", published="green")
    share: float = option(0.5, "A share.", within="(0, 1]")
    least: int | None = option(None, "The least number.", within="[0, inf)")
    switch: bool = option(False, "A switch.", published=True)
    free: str = option("", "Anything.")


@dataclass
class More(Options):
    other: float = option(-1.0, "Of the class itself.", within="(0, 1)")


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "wanted"),
    [
        ("(0, 1)", [1e-9, 0.999], [0, 1, -1, 2], "between 0 and 1, both excluded"),
        ("[0, 1)", [0, 0.999], [-1e-9, 1], "at least 0 and below 1"),
        ("(0, 1]", [1e-9, 1], [0, 1.001], "above 0 and at most 1"),
        ("[2, 3]", [2, 3], [1.999, 3.001], "at least 2 and at most 3"),
        ("[1, inf)", [1, 10**30], [0, -math.inf, math.inf], "at least 1"),
        ("(0, inf)", [1e-300, 1e300], [0, -1, math.inf], "above 0"),
        ("(-1, 1)", [-0.5], [-1], "between -1 and 1, both excluded"),
    ],
)
def test_an_interval_holds_its_closed_ends_and_no_others(interval, inside, outside, wanted):
    for value in inside:
        check_range("name", value, interval)
    for value in [*outside, math.nan]:
        with pytest.raises(LiftError) as error:
            check_range("name", value, interval)
        assert str(error.value) == f"name must be {wanted}, got {value}."


def test_a_choice_is_one_of_those_that_the_sentence_lists():
    check_choice("name", "b", iter("abc"))
    for value in ("d", None, True):
        with pytest.raises(LiftError) as error:
            check_choice("name", value, iter("abc"))
        assert str(error.value) == f"name must be one of a, b, c, got {value!r}."


def test_fields_are_checked_by_their_annotations_and_intervals():
    check_fields(Options(), Options)
    check_fields(Options("green", 1.0, 0, True, "!"), Options)
    for options, sentence in (
        ({"colour": "blue"}, "colour must be one of red, green, got 'blue'."),
        ({"share": 0.0}, "share must be above 0 and at most 1, got 0.0."),
        ({"share": math.nan}, "share must be above 0 and at most 1, got nan."),
        ({"least": -1}, "least must be at least 0, got -1."),
    ):
        with pytest.raises(LiftError) as error:
            check_fields(Options(**options), Options)
        assert str(error.value) == sentence


def test_only_the_fields_of_the_base_are_checked():
    check_fields(More(), Options)
    with pytest.raises(LiftError, match="other must be between 0 and 1"):
        check_fields(More(), More)
    with pytest.raises(LiftError, match="share must be"):
        check_fields(More(share=2.0), More)


def test_help_and_what_the_published_code_does_are_kept_with_the_field():
    fields = {field.name: field for field in dataclasses.fields(Options)}
    assert fields["colour"].metadata == {"help": "Which colour. Published code: green.", "published": "green"}
    assert fields["share"].metadata == {"help": "A share.", "within": "(0, 1]"}
    assert fields["switch"].metadata["published"] is True and fields["switch"].default is False
    assert fields["least"].default is None and fields["free"].metadata == {"help": "Anything."}


def test_false_may_be_what_the_published_code_does():
    field = option(True, "On.", published=False)
    assert field.metadata == {"help": "On. Published code: False.", "published": False}

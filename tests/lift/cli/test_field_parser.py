"""Flags of dataclasses: read as transformers reads them, refused in one sentence that names flag, or file and key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from lift.cli.field_parser import FieldParser
from lift.cli.settings import Setting
from lift.errors import LiftError
from lift.fields import option


@dataclass
class First:
    steps: int = option(5, "Steps.", within="[1, inf)")
    scaled: bool = option(True, "Scaled.", published=False)
    mode: Literal["no", "fast"] = option("fast", "Mode.")
    names: list[str] = field(default_factory=lambda: ["all"], metadata={"help": "Names."})


@dataclass
class Second:
    steps: int = option(7, "Other steps.")
    config: str | None = option(None, "A mapping.")


@pytest.fixture
def parser() -> FieldParser:
    return FieldParser([First, Second])


def test_values_come_from_defaults_files_and_words_in_this_order(parser):
    assert parser.parse([], []) == {"steps": 7, "scaled": True, "mode": "fast", "names": ["all"], "config": None}
    settings = [Setting("mode", "no", "f"), Setting("names", [1, "b"], "f"), Setting("config", {"a": None}, "f")]
    words = ["--no-scaled", "--steps=9", "--names", "c", "d"]
    assert parser.parse(words, settings) == {
        "steps": 9, "scaled": False, "mode": "no", "names": ["c", "d"], "config": '{"a": null}'
    }  # fmt: skip
    assert parser.parse([], settings)["names"] == ["1", "b"]
    assert parser.parse([], [Setting("steps", None, "f")])["steps"] == 7
    assert parser.parse(["--no_scaled"], [])["scaled"] is parser.parse(["--scaled", "f"], [])["scaled"] is False


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("steps", "many", "f.yaml: steps must be a whole number, got 'many'."),
        ("steps", [1, 2], "f.yaml: steps takes one value, got a list of 2."),
        ("steps", {"a": 1}, "f.yaml: steps must be a whole number, got '{\"a\": 1}'."),
        ("mode", "slow", "f.yaml: mode must be one of no, fast, got 'slow'."),
        (
            "mode", False,
            "f.yaml: mode must be one of no, fast, got 'False'. "
            "YAML reads yes, no, on and off as true and false: put the word in quotes.",
        ),
        ("scaled", "perhaps", "f.yaml: scaled must be true or false, got 'perhaps'."),
        ("names", [], "f.yaml: names: expected at least one argument."),
        ("names", ["a", None], "f.yaml: names must be a list of plain values, got null in it."),
        ("step", 3, "f.yaml: unknown key 'step', did you mean 'steps'?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_file(parser, key, value, sentence):
    with pytest.raises(LiftError) as error:
        parser.parse([], [Setting("mode", "no", "preset x"), Setting(key, value, "f.yaml")])
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--steps", "many"], "--steps must be a whole number, got 'many'."),
        (["--num-train-puzzles", "5"], "--num-train-puzzles belongs to task sudoku or countdown: add --task sudoku, or leave it out."),
        (["--test_puzzles=a.csv"], "--test_puzzles belongs to task sudoku or countdown: add --task sudoku, or leave it out."),
        (["--nams", "x"], "unknown argument '--nams', did you mean '--names'?"),
        (
            ["--steps", "3", "f.yaml"],
            "unexpected argument 'f.yaml': a value stands behind its flag, a configuration file before all.",
        ),
    ],
)  # fmt: skip
def test_a_wrong_word_is_named_as_typed(parser, words, sentence):
    with pytest.raises(LiftError) as error:
        parser.parse(words, [Setting("steps", 3, "f.yaml")])
    assert str(error.value) == sentence

"""The flags of the comparison apart from those of `lift train`."""

from __future__ import annotations

import pytest

from lift.cli.comparison.options import read_options
from lift.errors import LiftError


def test_the_other_words_are_left_in_their_order():
    words = ["--methods", "sft,lift3", "--seeds", "3", "a.yaml", "--seed", "7", "--start_steps=4", "--lr", "1e-3", "--steps_only"]  # fmt: skip
    options, rest = read_options(words)
    assert rest == ["a.yaml", "--seed", "7", "--lr", "1e-3"]  # --seed is no abbreviation of --seeds
    assert (options.methods, options.seeds, options.start_steps, options.steps_only) == ("sft,lift3", 3, 4, True)
    options, rest = read_options(["--methods=sft,hard"])
    assert rest == [] and (options.seeds, options.start, options.start_steps, options.steps_only) == (
        5,
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--start_steps", "x"], "--start_steps must be a whole number, got 'x'"),
        (["--start", "model", "--start_steps", "4"], "pass one of them"),
    ],
)
def test_what_does_not_fit_is_refused(words, sentence):
    with pytest.raises(LiftError, match=sentence):
        read_options(["--methods", "sft,lift3", *words])

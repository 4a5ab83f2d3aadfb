"""Errors of argparse as one sentence, with the flag as it was typed."""

from __future__ import annotations

import pytest

from lift.cli.parser import SentenceParser, suggestion
from lift.errors import LiftError


@pytest.fixture
def parser() -> SentenceParser:
    parser = SentenceParser(prog="lift try")
    parser.add_argument("--max_steps", "--max-steps", type=int, default=5)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--mode", choices=("fast", "slow"), default="none of them")
    parser.add_argument("--names", nargs="+")
    parser.add_switch("trust", help="trust it")
    return parser


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--max_steps", "many"], "--max_steps must be a whole number, got 'many'."),
        (["--max-steps", "2.5"], "--max-steps must be a whole number, got '2.5'."),
        (["--max-steps=many"], "--max-steps must be a whole number, got 'many'."),
        (["--rate", "fast"], "--rate must be a number, got 'fast'."),
        (["--mode", "x"], "--mode must be one of fast, slow, got 'x'."),
        (["--trust", "yes"], "--trust must be true or false, got 'yes'."),
        (["--rate"], "--rate: expected one argument."),
        (["--names"], "--names: expected at least one argument."),
        (["--max_step5", "3"], "unknown argument '--max_step5', did you mean '--max_steps'?"),
        (["--max-step5=3"], "unknown argument '--max-step5', did you mean '--max-steps'?"),
        (["--zzz", "3"], "unknown argument '--zzz': lift try --help lists what there is."),
        (["left", "--zzz"], "unknown argument '--zzz': lift try --help lists what there is."),
        (["-rate", "3"], "unknown argument '-rate', did you mean '--rate'?"),
    ],
)
def test_what_does_not_fit_is_one_sentence(parser, words, sentence):
    with pytest.raises(LiftError) as error:
        parser.parse_args(words)
    assert str(error.value) == sentence


def test_what_fits_is_read(parser):
    values = parser.parse_args(["--max-steps", "-3", "--rate", "1e-3", "--mode", "slow", "--trust"])
    assert (values.max_steps, values.rate, values.mode, values.trust) == (-3, 1e-3, "slow", True)
    assert parser.parse_args(["--trust", "FALSE"]).trust is False
    defaults = parser.parse_args([])
    assert (defaults.max_steps, defaults.mode, defaults.trust) == (5, "none of them", False)


def test_a_required_flag_is_named():
    parser = SentenceParser(prog="lift try")
    parser.add_argument("--model", required=True)
    with pytest.raises(LiftError, match=r"^the following arguments are required: --model\.$"):
        parser.parse_args([])
    with pytest.raises(LiftError, match=r"^unknown argument '--modle', did you mean '--model'\?$"):
        parser.parse_args(["--modle", "x"])


def test_a_suggestion_is_made_only_where_one_is_close():
    assert suggestion("methd", ["method", "model"], "lift x") == ", did you mean 'method'?"
    assert suggestion("zzz", ["method"], "lift x") == ": lift x lists what there is."


def test_words_alone_are_parsed_whatever_else_a_command_must_have(parser):
    parser.add_argument("--model", required=True)
    assert parser.parse_apart(["--max_steps", "3"]) == [] and parser.parse_apart(["--rate", "1", "2"]) == ["2"]
    with pytest.raises(LiftError, match=r"--rate must be a number, got 'fast'"):
        parser.parse_apart(["--rate", "fast"])
    with pytest.raises(LiftError, match="required: --model"):
        parser.parse_args([])

"""The flags of `lift compare --methods` itself; all others are those of `lift train`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lift.cli.parser import SentenceParser
from lift.errors import LiftError

_USAGE = (
    "lift compare --methods METHOD,METHOD,... [--seeds N]\n"
    "                    [CONFIG.yaml] [--preset NAME] [--flag value ...]"
)
_ABOUT = (
    "Train by each method with each seed, one run after another, and compare what became of them with the first "
    "method: at equal steps, and at equal compute, for which the first method also gets the steps that another's cost "
    "would buy. CONFIG.yaml, --preset and all other flags are those of lift train. Runs that are finished are kept: "
    "the same command goes on after a kill, and more methods or seeds add to what is there."
)


def options_parser() -> SentenceParser:
    """Return the parser of these flags; abbreviations are not taken, as --seed is a flag of lift train."""
    parser = SentenceParser(prog="lift compare", usage=_USAGE, description=_ABOUT, add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--methods", required=True, metavar="METHOD,...",
        help="two or more of lift methods, the first being what the others are compared with. A method may have flags "
        "of its own: lift3:one_forward=true",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=int, within="[1, inf)", default=5, metavar="N",
        help="seeds of each method, from --seed (42) on (default: 5)",
    )  # fmt: skip
    parser.add_argument("--output_dir", metavar="FOLDER", help="new, or that of the comparison to go on with")
    parser.add_argument("--start", metavar="MODEL", help="start every run from this model: a folder or a Hub id")
    parser.add_argument(
        "--start_steps", type=int, within="[1, inf)", metavar="N",
        help="first train N steps of sft for each seed, from which the runs of this seed start (half-way models)",
    )  # fmt: skip
    parser.add_switch("steps_only", "compare at equal steps alone, without the longer runs of the first method")
    return parser


def read_options(arguments: Sequence[str]) -> tuple[Any, list[str]]:
    """Return the values of these flags, and the words that are left for `lift train`.

    Raises:
        LiftError: a value does not fit, or both starts are given.
    """
    options, words = options_parser().parse_known_args(arguments)
    if options.start is not None and options.start_steps is not None:
        raise LiftError("--start names a model and --start_steps makes one: pass one of them.")
    return options, words

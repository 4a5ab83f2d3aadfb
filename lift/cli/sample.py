"""`lift sample`: complete prompts with a trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lift.cli.heavy_imports import heavy_imports
from lift.cli.parser import SentenceParser
from lift.cli.sampling_flags import add_sampling_flags, sampling_config
from lift.cli.yaml_flags import read_options
from lift.errors import LiftError
from lift.models.saved_record import record_in

logger = logging.getLogger(__name__)

_DESCRIPTION = (
    "Complete prompts, by default by low-confidence remasking. Answers go to stdout, one a line where they hold no "
    "newline; what is said of them, such as a Sudoku's grid and whether it is valid, goes to stderr. With --output "
    "they are decoded in batches, a JSON line each; a killed run goes on where it was, on any number of processes: "
    "accelerate launch -m lift.cli sample ..."
)


def run(arguments: Sequence[str]) -> None:
    """Complete each prompt, and say how fast.

    Raises:
        LiftError: bad input, or a model that cannot be loaded.
    """
    options = read_options(_parser(), arguments)
    sampling_config(options, record_in(options.model))  # says what does not fit together before anything is loaded

    from lift.cli.prompt_rows import read_prompts

    rows = read_prompts(options.prompt, options.prompts)
    _check_places(options, rows)

    with heavy_imports():
        import transformers

        from lift.cli.sample_run import SampleRun

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        found = SampleRun(options, rows)
        if options.output is None:
            found.show()
        else:
            found.write(Path(options.output))
    except ValueError as error:
        raise LiftError(str(error)) from None


def _parser() -> SentenceParser:
    parser = SentenceParser(
        prog="lift sample", usage="lift sample [CONFIG.yaml] [--flag value ...]", description=_DESCRIPTION
    )
    parser.add_argument(
        "--model", required=True, help="folder or Hub id of a trained model and its tokenizer, or an adapter's folder"
    )
    parser.add_argument(
        "--tokenizer_name_or_path", metavar="NAME", default=None,
        help="folder or Hub id of the tokenizer; by default the model's own",
    )  # fmt: skip
    parser.add_argument("--prompt", action="append", help="a prompt; may be given several times")
    parser.add_argument(
        "--prompts", metavar="FILE", default=None,
        help="a .jsonl file of objects with prompt, a .txt file with a prompt a line, or - for standard input",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="FILE", default=None,
        help="write a JSON line for each answer there, and go on where an earlier run of the same settings was",
    )  # fmt: skip
    parser.add_argument(
        "--num_samples", type=int, within="[1, inf)", default=1, help="answers to each prompt, by default 1"
    )
    parser.add_argument(
        "--batch_size", default="auto",
        help="rows a forward with --output, or auto: 64, halved where memory runs out; it changes no answer",
    )  # fmt: skip
    parser.add_argument(
        "--system",
        metavar="TEXT",
        default=None,
        help="text in front of each prompt, as in training; by default the training's, '' for none",
    )
    parser.add_argument(
        "--mask_token_id", type=int, within="[0, inf)", default=None, help="by default the one trained with"
    )
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=("float32", "bfloat16", "float16", "auto"),
        help="float32, bfloat16, float16, or that of the weights (auto)",
    )
    parser.add_switch("trust_remote_code", help="run Python code that comes with the model")
    parser.add_switch("no_animation", help="in a terminal, do not show how the answer is written")
    parser.add_argument(
        "--save", metavar="FILE", default=None, help="keep the animation of the answer: .html, .svg or .gif"
    )
    add_sampling_flags(parser)
    return parser


def _check_places(options: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Refuse files that cannot be written as asked, before a model is loaded."""
    from lift.cli.answer_file import FIELDS
    from lift.cli.output_file import check_output_file
    from lift.report import check_unmasking_path

    if options.save is not None:
        check_unmasking_path(Path(options.save))
        check_output_file(Path(options.save), "--save")
        if options.output is not None or len(rows) * options.num_samples > 1:
            raise LiftError("--save keeps the animation of one answer: pass one prompt, and no --output.")
    if options.output is not None:
        check_output_file(Path(options.output), "--output")
        for number, row in enumerate(rows):
            if taken := sorted(set(row) & set(FIELDS)):
                raise LiftError(
                    f"{options.prompts}: row {number} (counted from 0) has {taken[0]!r}, which --output writes: rename "
                    "it."
                )

"""`lift compare`: runs of `lift eval` on the same problems, beside the first of them; or methods, which it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lift.cli.compared_runs import Pair, compared
from lift.cli.comparison_plot import draw_comparison
from lift.cli.evaluation_page import write_evaluation_page
from lift.cli.evaluation_record import read_record
from lift.cli.output_file import check_suffix
from lift.cli.parser import SentenceParser
from lift.cli.text_table import text_table
from lift.errors import LiftError
from lift.report.figure import FORMATS

_DESCRIPTION = (
    "Compare runs of lift eval with the first one on the same problems: by McNemar's exact test where a problem is "
    "right or wrong, else by the paired bootstrap."
)
_HEADER = ("task", "metric", "n", "run", "first", "this", "difference", "95 % interval", "p", "only first", "only this")


def run(arguments: Sequence[str]) -> None:
    """Print one table; draw it and write a page where that is asked for. With --methods, see `compare_methods`.

    Raises:
        LiftError: a folder holds no run, the runs have no task in common, or a picture has no such format.
    """
    if any(word in ("-h", "--help") for word in arguments):
        from lift.cli.comparison.options import options_parser

        print(f"{_parser().format_help()}\nOr compare methods:\n\n{options_parser().format_help()}", end="")
        return
    if any(word.partition("=")[0] == "--methods" for word in arguments):
        from lift.cli.comparison.command import compare_methods

        return compare_methods(arguments)
    _compare_evaluations(arguments)


def _parser() -> SentenceParser:
    parser = SentenceParser(prog="lift compare", description=_DESCRIPTION, add_help=False)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output_dir of a lift eval, at least two")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw scores and differences: .png, .svg or .pdf")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write a page of the answers side by side: .html")
    return parser


def _compare_evaluations(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    if len(options.runs) < 2:
        raise LiftError("a comparison needs at least two runs: name another output_dir of lift eval.")
    if options.plot is not None:
        check_suffix(options.plot, "--plot", [f".{name}" for name in FORMATS])
    if options.page is not None:
        check_suffix(options.page, "--page", [".html"])
    records = [read_record(path) for path in options.runs]
    pairs = [
        pair
        for path, other in zip(options.runs[1:], records[1:], strict=True)
        for pair in compared(records[0], other, path)
    ]
    if not pairs:
        raise LiftError("these runs have no task in common: evaluate both on the same --tasks.")
    print(text_table(_HEADER, [_row(pair) for pair in pairs], text_columns=(0, 1, 3)))
    if options.plot is not None:
        draw_comparison([pair for pair in pairs if pair.are_shares], options.runs[0], options.plot)
    if options.page is not None:
        write_evaluation_page(options.page, list(zip(options.runs, records, strict=True)))


def _row(pair: Pair) -> tuple[str, ...]:
    found, digits = pair.found, ((".2%", ".1%") if pair.are_shares else (".4g", ".4g"))
    means = [format(sum(values) / len(values), digits[0]) for values in (pair.first, pair.second)]
    low, high = (format(end, f"+{digits[1]}") for end in found.interval)
    return (
        pair.task, pair.metric, str(len(pair.first)), pair.run, *means, format(found.difference, f"+{digits[0]}"),
        f"{low} to {high}", f"{found.p_value:.3g}", str(found.only_first), str(found.only_second),
    )  # fmt: skip

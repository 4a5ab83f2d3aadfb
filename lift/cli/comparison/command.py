"""`lift compare --methods`: train, and report."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from importlib.util import find_spec

from lift.cli.comparison.child import lock_on
from lift.cli.comparison.options import read_options
from lift.cli.comparison.perform import check_known, perform
from lift.cli.comparison.plan import make_plan
from lift.cli.comparison.report import report_text, write_report
from lift.cli.comparison.results import read_results
from lift.cli.output_folder import check_writable
from lift.errors import LiftError


def compare_methods(arguments: Sequence[str]) -> None:
    """Make the runs that are not finished yet, print the tables, and leave comparison.json and a picture.

    Raises:
        LiftError: bad input, before anything is trained; or at the end, where runs failed.
        Interrupted: a signal stopped it; the same command goes on.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise LiftError("lift compare starts its runs itself, each of one process: call it without a launcher.")
    options, words = read_options(arguments)
    plan = make_plan(options, words)
    check_writable(plan.folder)
    check_known(plan)
    (plan.folder / "settings").mkdir(parents=True, exist_ok=True)
    with lock_on(plan.folder) as lock:
        failed = perform(plan, lock)
        results = read_results(plan)
        path = write_report(plan, results, shlex.join(["lift", "compare", *arguments]), failed)
        if results.runs and results.outcomes:
            print(f"\n{report_text(plan, results)}\n")
            if find_spec("matplotlib") is not None:
                from lift.cli.comparison.picture import draw_methods

                formats = plan.runs[-1].settings.get("figure_formats") or ["png"]
                draw_methods(plan, results, path.with_suffix(".png"), formats)
        print(f"wrote {path}")
    if failed:
        raise LiftError(
            f"{len(failed)} of {len(plan.runs)} runs failed ({', '.join(failed)}): {plan.folder / 'logs'} says why, "
            "and the same command tries them again."
        )

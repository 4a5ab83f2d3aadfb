"""`lift train`: help, a quick check of the arguments, and the run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from lift.cli.heavy_imports import heavy_imports
from lift.cli.train_arguments import check_quickly, parse
from lift.cli.train_help import show_help


def run(arguments: Sequence[str]) -> None:
    """Train as the arguments say, or print the help.

    Raises:
        LiftError: bad input, before anything is written; what is wrong with a flag is said before torch is loaded.
        Interrupted: a signal stopped the run, with a checkpoint, or before its first step.
    """
    if "--help-all" in arguments:
        return show_help(everything=True)
    if "--help" in arguments or "-h" in arguments:
        return show_help()
    check_quickly(arguments)

    with heavy_imports():
        import transformers
        from accelerate import PartialState
        from rich.console import Console
        from rich.logging import RichHandler

        from lift.cli.first_step import first_step
        from lift.cli.training_run import train
        from lift.errors import Interrupted
        from lift.training.stopping import StopOnSignal

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()  # saving and loading take a moment only
    logger = logging.getLogger("lift")
    logger.setLevel(logging.INFO)
    logger.handlers = [RichHandler(console=Console(stderr=True), show_time=False, show_level=False, show_path=False)]
    parsed = parse(arguments)
    if parsed.run.dry_run:
        from lift.cli.dry_run import dry_run

        return dry_run(parsed)
    stop = StopOnSignal()
    with first_step(Path(str(parsed.config.output_dir))) as watch:
        train(parsed, callbacks=[watch], stop=stop)
    processes = PartialState()
    processes.wait_for_everyone()  # a launcher may stop the others where one that left early aborts
    processes.destroy_process_group()
    if stop.stopped_at is not None:
        raise Interrupted(stop.signal)

"""`lift train --dry_run`: everything up to the first step, shown, and nothing written."""

from __future__ import annotations

import math
import sys
import tempfile
from typing import Any

from rich.console import Console
from rich.table import Table

from lift.cli.length_report import lengths_of, loss_to_max_length, percentiles, without_limit
from lift.cli.memory_report import memory_lines
from lift.cli.shown_rows import heading, legend, render_row
from lift.cli.train_arguments import TrainArguments
from lift.cli.training_run import model_size, open_task_rows, open_trainer
from lift.tasks import Task
from lift.training import LiftTrainer
from lift.training.first_rows import first_rows

_WIDTH = 80


def dry_run(arguments: TrainArguments) -> None:
    """Load tokenizer, data and model as the run would, and print what it would train on and take.

    Raises:
        LiftError: what the run would refuse, but for its output folder, which it does not look at.
    """
    config = arguments.config
    console = Console(
        quiet=not config.should_log, highlight=False, soft_wrap=False,
        width=None if sys.stdout and sys.stdout.isatty() else _WIDTH,
    )  # fmt: skip
    checkpoints = bool(config.gradient_checkpointing)
    with tempfile.TemporaryDirectory(prefix="lift-dry-run-") as folder:  # the Trainer makes its folder
        config.output_dir, config.push_to_hub, config.gradient_checkpointing = folder, False, False
        task, trainer = open_trainer(arguments)
        _show_rows(console, arguments, task)
        _show_first_step(console, task, trainer)
        if config.resume_from_checkpoint:
            console.print("(those of a new start, not of the checkpoint)")
        _show_steps(console, trainer)
        lora_rank = None if arguments.model.model_name_or_path is None else arguments.model.lora_r
        for line in memory_lines(trainer, checkpoints=checkpoints, lora_rank=lora_rank):
            console.print(line)
    console.print("nothing was trained and nothing written.")


def _show_rows(console: Console, arguments: TrainArguments, task: Task) -> None:
    config = arguments.config
    console.print(
        f"[bold]{config.method}[/bold] on {task.description}: {len(task.train):,} rows to train on, "
        f"{len(task.eval):,} to evaluate on"
    )
    table = Table("tokens", "p50", "p90", "p99", "max", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, numbers in zip(("of a row", "of its response"), lengths_of(task.train), strict=True):
        table.add_row(name, *(f"{n:,}" for n in percentiles(numbers)))
    console.print(table)
    whole = arguments._replace(config=without_limit(config))
    truncation = "right" if arguments.data.task else arguments.data.truncation
    console.print(loss_to_max_length(task, config.max_length, truncation, lambda: open_task_rows(whole)))


def _show_first_step(console: Console, task: Task, trainer: LiftTrainer) -> None:
    rows = first_rows(trainer)
    console.print("\n[bold]rows of the first step, as the model sees them[/bold]")
    console.print(legend(rows))
    for row in rows:
        console.print(heading(row), markup=False)
        console.print(render_row(row, task.tokenizer, console.width))


def _show_steps(console: Console, trainer: LiftTrainer) -> None:
    args = trainer.args
    steps, epochs = steps_and_epochs(trainer)
    rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    console.print(f"\n[bold]training[/bold]: {model_size(trainer.model)}")
    console.print(
        f"{steps:,} optimiser steps, {epochs:.3g} epochs; {rows:,} rows a step: {args.train_batch_size} "
        f"(batch) x {args.gradient_accumulation_steps} (accumulation) x {args.world_size} (processes)"
    )


def steps_and_epochs(trainer: Any) -> tuple[int, float]:
    """Return the optimiser steps of a run, as transformers counts them, and the passes over the rows they make."""
    args, num_batches = trainer.args, len(trainer.get_train_dataloader())
    per_epoch = max(math.ceil(num_batches / args.gradient_accumulation_steps), 1)
    if args.max_steps > 0:
        return args.max_steps, args.max_steps / per_epoch
    return math.ceil(args.num_train_epochs * per_epoch), float(args.num_train_epochs)

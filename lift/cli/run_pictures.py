"""The pictures of a training run, and the line below their titles that says which run it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lift.cli.train_arguments import TrainArguments
from lift.tasks import Metrics, Task
from lift.training.loss_curve import loss_curve

_LONGEST_NAME = 32  # characters of a model's: longer ones would run into the legend


def draw_run(
    arguments: TrainArguments, task: Task, model: Any, history: Sequence[Mapping[str, Any]], before: Metrics,
    after: Metrics, output: Path,
) -> bool:  # fmt: skip
    """Draw the losses of a run, and its task's pictures; return whether there is matplotlib to do so.

    Args:
        arguments: of the run.
        task, model: what was trained.
        history: the lines of its history.jsonl.
        before, after: the metrics before and after training.
        output: folder of the pictures.
    """
    if find_spec("matplotlib") is None:
        return False
    subtitle, formats = run_in_words(arguments, model), arguments.run.figure_formats or ["png"]
    loss_curve(history, output / "loss_curve.png", subtitle=subtitle, formats=formats)
    task.draw(before, after, output, subtitle=subtitle, formats=formats)
    return True


def run_in_words(arguments: TrainArguments, model: Any) -> str:
    """Return method, model and seed, such as "lift3, new modernbert (797k parameters), seed 42"."""
    name = arguments.model.model_name_or_path
    shown = f"new {model.config.model_type}" if name is None else "/".join(Path(name).parts[-2:])
    shown = shown if len(shown) <= _LONGEST_NAME else f"...{shown[3 - _LONGEST_NAME :]}"
    size = sum(getattr(p, "ds_numel", p.numel()) for p in model.parameters())  # ZeRO-3 leaves a parameter empty
    return f"{arguments.config.method}, {shown} ({in_short(size)} parameters), seed {arguments.config.seed}"


def in_short(number: int) -> str:
    """Return a count in three digits, such as 687k, 22.7M or 8.02B."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * unit:
            return f"{number / unit:.3g}{letter}"
    return str(number)

"""From the words of a command line to the arguments of `lift train`, in two stages.

`check_quickly` says what is wrong with them within a fraction of a second, as it imports neither torch nor
transformers; `parse` then builds the real classes, which check the rest. The first refuses nothing that the second
takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lift.cli.arguments import DataArguments, ModelArguments, RunArguments
from lift.cli.field_parser import FieldParser
from lift.cli.output_folder import where_to_start
from lift.cli.parser import SentenceParser
from lift.cli.settings import Setting, flags_of, take_settings
from lift.cli.transformers_source import training_arguments
from lift.errors import LiftError
from lift.objectives import LiftOptions
from lift.tasks import task_arguments
from lift.training.batch_options import BatchOptions, TrainerDefaults

if TYPE_CHECKING:
    from lift.training import LiftConfig

Group = TypeVar("Group")


class TrainArguments(NamedTuple):
    """All that a training run is told."""

    model: ModelArguments
    data: DataArguments
    run: RunArguments
    task: Any
    """An instance of the chosen task's own `Arguments`; None without a task."""

    config: LiftConfig


def check_quickly(arguments: Sequence[str]) -> None:
    """Check `[CONFIG.yaml] [--preset NAME] [--flag value ...]` as far as that is possible without torch.

    Raises:
        LiftError: an unknown flag, key, preset or task, a value that does not fit, no output_dir or one in use.
    """
    outline = config_outline()
    if outline is None:
        return
    values, task = _read(arguments, outline)
    _make(ModelArguments, values).check_model()
    _make(DataArguments, values).check_source()
    if task is not None:
        _make(task_arguments(task), values)
    _make(LiftOptions, values).resolve_options()
    _make(BatchOptions, values).check_batch_options()
    _make(TrainerDefaults, values).check_defaults()
    where_to_start(
        Path(values["output_dir"]),
        resume_from=values["resume_from_checkpoint"],
        may_overwrite=values["overwrite_output_dir"],
    )


def parse(arguments: Sequence[str]) -> TrainArguments:
    """Return the arguments that `[CONFIG.yaml] [--preset NAME] [--flag value ...]` stands for.

    Raises:
        LiftError: as `check_quickly`, and what transformers itself refuses.
    """
    from lift.training import LiftConfig

    values, task = _read(arguments, LiftConfig)
    return TrainArguments(
        model=_make(ModelArguments, values),
        data=_make(DataArguments, values),
        run=_make(RunArguments, values),
        task=None if task is None else _make(task_arguments(task), values),
        config=_make(LiftConfig, values),
    )


def config_outline() -> type[Any] | None:
    """Return a dataclass with the fields of `LiftConfig`, made without torch; None where that cannot be done."""
    theirs = training_arguments()
    if theirs is None:
        return None
    return dataclasses.dataclass(type("ConfigOutline", (BatchOptions, TrainerDefaults, LiftOptions, theirs), {}))


def _read(arguments: Sequence[str], config: type[Any]) -> tuple[dict[str, Any], str | None]:
    """Return the value of every flag, and the name of the task if there is one; `config` has LiftConfig's fields."""
    words, settings = take_settings(arguments)
    task = _chosen_task(words, settings)
    groups = [ModelArguments, DataArguments, RunArguments, *([] if task is None else [task_arguments(task)]), config]
    values = FieldParser(groups).parse(words, settings)
    if values["output_dir"] is None:
        raise LiftError("no output folder: pass --output_dir FOLDER.")
    return values, task


def _chosen_task(words: Sequence[str], settings: Sequence[Setting]) -> str | None:
    """Read `task` alone: which flags there are depends on it."""
    parser = SentenceParser(prog="lift train", add_help=False)
    parser.add_argument("--task")
    flags = [word for setting in settings if setting.key == "task" for word in flags_of(setting)]
    values, _ = parser.parse_known_args([*flags, *words])
    return values.task


def _make(group: type[Group], values: dict[str, Any]) -> Group:
    names = {field.name for field in dataclasses.fields(group) if field.init}  # type: ignore[arg-type]
    try:
        return group(**{name: value for name, value in values.items() if name in names})
    except LiftError:
        raise
    except ValueError as error:
        raise LiftError(" ".join(str(error).split())) from None

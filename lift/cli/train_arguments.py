"""From the words of a command line to the arguments of `lift train`, in two stages.

`check_quickly` says what is wrong with them within a fraction of a second, as it imports neither torch nor
transformers; `parse` then builds the real classes, which check the rest. The first refuses nothing that the second
takes.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lift.cli.arguments import DataArguments, ModelArguments, RunArguments
from lift.cli.evaluation_plan import plan_evaluations
from lift.cli.field_parser import FieldParser
from lift.cli.input_paths import input_paths
from lift.cli.output_folder import where_to_start
from lift.cli.parser import SentenceParser
from lift.cli.requirements import check_requirements
from lift.cli.settings import Setting, flags_of, take_settings
from lift.cli.transformers_source import training_arguments
from lift.errors import LiftError
from lift.fields import check_fields
from lift.models.lora import LoraArguments
from lift.objectives import LiftOptions
from lift.tasks import task_arguments
from lift.training.argument_ranges import check_training_arguments
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

    settings: Mapping[str, Any]
    """The value, as parsed, of each flag that was set, by preset, file or command line, or is not at its default."""

    command: Sequence[str]
    """The words after `lift train`."""


def check_quickly(arguments: Sequence[str]) -> None:
    """Check `[CONFIG.yaml] [--preset NAME] [--flag value ...]` as far as that is possible without torch.

    Raises:
        LiftError: an unknown flag, key, preset or task, a value that does not fit, a package that is not installed, no
            output_dir or one in use.
    """
    outline = config_outline()
    if outline is None:
        return
    read = _read(arguments, outline)
    values = read.values
    _make(ModelArguments, values).check_model()
    _make(DataArguments, values).check_source()
    _make(RunArguments, values)
    _make_task(read)
    _make(LiftOptions, values).resolve_options()
    _make(BatchOptions, values).check_batch_options()
    _make(TrainerDefaults, values).check_defaults()
    check_training_arguments(SimpleNamespace(**values))
    _check_the_rest(read)
    if not values["dry_run"]:
        where_to_start(
            Path(values["output_dir"]),
            resume_from=values["resume_from_checkpoint"],
            may_overwrite=values["overwrite_output_dir"],
            inputs=input_paths(values, arguments),
        )


def parse(arguments: Sequence[str]) -> TrainArguments:
    """Return the arguments that `[CONFIG.yaml] [--preset NAME] [--flag value ...]` stands for.

    Raises:
        LiftError: as `check_quickly`, and what transformers itself refuses.
    """
    from lift.training import LiftConfig

    read = _read(arguments, LiftConfig)
    values = read.values
    model, data, run = _make(ModelArguments, values), _make(DataArguments, values), _make(RunArguments, values)
    task = _make_task(read)
    _check_the_rest(read)
    settings = _settings(read)
    return TrainArguments(model, data, run, task, _make(LiftConfig, values), settings, tuple(arguments))


def read_settings(arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the value of every flag, and of those that are set or not at their default: `TrainArguments.settings`.

    Raises:
        LiftError: an unknown flag, key, preset or task, a value that does not fit, or no output_dir.
    """
    from lift.training import LiftConfig  # the outline holds some values otherwise than they are

    read = _read(arguments, LiftConfig)
    return read.values, _settings(read)


def config_outline() -> type[Any] | None:
    """Return a dataclass with the fields of `LiftConfig`, made without torch; None where that cannot be done."""
    theirs = training_arguments()
    if theirs is None:
        return None
    return dataclasses.dataclass(type("ConfigOutline", (BatchOptions, TrainerDefaults, LiftOptions, theirs), {}))


class _Read(NamedTuple):
    values: dict[str, Any]
    """Of every flag, by the name of its field."""

    given: frozenset[str]
    """The fields that a flag or a file sets."""

    task: str | None

    parser: FieldParser


def _read(arguments: Sequence[str], config: type[Any]) -> _Read:
    """Return the value of every flag, where `config` has the fields of LiftConfig."""
    words, settings = take_settings(arguments)
    task = _chosen_task(words, settings)
    groups = [ModelArguments, DataArguments, RunArguments, *([] if task is None else [task_arguments(task)]), config]
    parser = FieldParser(groups)
    values = parser.parse(words, settings)
    if values["dry_run"] and not values["output_dir"]:
        values["output_dir"] = tempfile.gettempdir()  # nothing is written there
    if not values["output_dir"]:
        raise LiftError("no output folder: pass --output_dir FOLDER.")
    flags = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
    given = frozenset(flags | {setting.key for setting in settings if setting.value is not None})
    plan_evaluations(values, given)
    return _Read(values, given, task, parser)


def _settings(read: _Read) -> dict[str, Any]:
    defaults = read.parser.parse([], [])
    return {n: copy(value) for n, value in read.values.items() if n in read.given or value != defaults[n]}


def _check_the_rest(read: _Read) -> None:
    """Check what no group of fields can check by itself.

    Raises:
        LiftError: an option of LoRA without LoRA, or something is needed that is not there.
    """
    if "use_peft" not in read.given:  # use_peft=false beside them is a decision
        for field in dataclasses.fields(LoraArguments):
            if field.name in read.given:
                raise LiftError(f"{field.name} belongs to LoRA: pass --use_peft true too, or leave it out.")
    check_requirements(read.values)


def _chosen_task(words: Sequence[str], settings: Sequence[Setting]) -> str | None:
    """Read `task` alone: which flags there are depends on it."""
    parser = SentenceParser(prog="lift train", add_help=False)
    parser.add_argument("--task")
    flags = [word for setting in settings if setting.key == "task" for word in flags_of(setting)]
    values, _ = parser.parse_known_args([*flags, *words])
    return values.task


def _make_task(read: _Read) -> Any:
    """Return the arguments of the task, whose ranges are checked here for all tasks; None without a task."""
    if read.task is None:
        return None
    group = task_arguments(read.task)
    task = _make(group, read.values)
    check_fields(task, group)
    return task


def _make(group: type[Group], values: dict[str, Any]) -> Group:
    names = {field.name for field in dataclasses.fields(group) if field.init}  # type: ignore[arg-type]
    try:
        return group(**{name: value for name, value in values.items() if name in names})
    except LiftError:
        raise
    except ValueError as error:
        raise LiftError(" ".join(str(error).split())) from None

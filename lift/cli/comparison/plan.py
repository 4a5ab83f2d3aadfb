"""What is run: from the words of a command to the settings of each run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lift.cli.comparison.arms import Arm, equal_compute, parse_methods
from lift.cli.comparison.runs import Run, run_folder, runs_of
from lift.cli.train_arguments import check_quickly, read_settings
from lift.errors import LiftError
from lift.objectives import METHODS, LiftOptions, relative_cost

_UNFIT = {
    "early_stopping_patience": "ends runs after different steps",
    "resume_from_checkpoint": "is what the comparison does by itself",
    "overwrite_output_dir": "would replace what the comparison goes on with",
    "dry_run": "is for lift train",
    "push_to_hub": "would push every run",
}


@dataclass(frozen=True)
class Plan:
    """A comparison."""

    folder: Path
    arms: Sequence[Arm]
    """The first is what the others are compared with; behind those asked for, the same with the others' compute."""

    costs: Mapping[str, float]
    """Of a step of each arm, in steps of plain SFT."""

    forward_share: float
    """Of a step, what a forward that scores takes."""

    equal_compute: Mapping[str, str]
    """Name of the arm that an arm is compared with at equal compute."""

    seeds: Sequence[int]
    runs: Sequence[Run]
    task: str | None
    has_common_loss: bool
    """Whether the evaluation loss is the same of all methods, the plain SFT loss."""

    def run_folder(self, run: Run) -> Path:
        """Return the output_dir of a run."""
        return run_folder(self.folder, run.name)


def make_plan(options: Any, words: Sequence[str]) -> Plan:
    """Return the plan of a command.

    Args:
        options: of `read_options`.
        words: those of `lift train`.

    Raises:
        LiftError: what `lift train` would refuse of an arm without loading anything, or what makes runs incomparable.
    """
    asked = parse_methods(options.methods)
    own = [] if options.output_dir is None else ["--output_dir", options.output_dir]
    read = {arm.name: _read(arm, [*words, *own]) for arm in asked}
    first = asked[0].name
    values = read[first].values
    resolved = {name: _options_of(of_arm.values) for name, of_arm in read.items()}
    has_common_loss = all(of_arm.eval_loss == "sft" for of_arm in resolved.values())
    if values["task"] is None and not has_common_loss and not values["eval_tasks"]:
        raise LiftError(
            "eval_loss=train, which reference_quirks sets too, is another loss for each method, and nothing else "
            "judges these runs: leave it out, or pass --eval_tasks."
        )
    _check_epochs(values, resolved)
    forward_share, rows = _forward_share(values), values["per_device_train_batch_size"]
    costs = {
        name: relative_cost(of_arm, forward_share=forward_share, rows_per_mode=rows)
        for name, of_arm in resolved.items()
    }
    longer = {} if options.steps_only else equal_compute(asked, costs)
    added = list(dict.fromkeys(longer.values()))
    settings = {arm.name: read[arm.name if arm in asked else first].settings for arm in (*asked, *added)}
    folder = Path(values["output_dir"]).absolute()
    seeds = [values["seed"] + number for number in range(options.seeds)]
    runs = runs_of(
        folder, [*asked, *added], seeds, settings, values, start=options.start, start_steps=options.start_steps
    )  # fmt: skip
    return Plan(
        folder, [*asked, *added], costs | {arm.name: costs[first] for arm in added}, forward_share,
        {name: arm.name for name, arm in longer.items()}, seeds, list(runs), values["task"], has_common_loss,
    )  # fmt: skip


class _Read(NamedTuple):
    values: dict[str, Any]
    """Of every flag."""

    settings: dict[str, Any]
    """Of those that are set or not at their default."""


def _read(arm: Arm, words: Sequence[str]) -> _Read:
    whole = [*words, f"--method={arm.method}", *arm.flags]
    try:
        check_quickly([*whole, "--dry_run=true"])  # whatever there is in the folder
        read = _Read(*read_settings(whole))
        for name, why in _UNFIT.items():
            if read.values.get(name) not in (None, False):
                raise LiftError(f"{name} {why}: leave it out of a comparison.")
    except LiftError as error:
        raise LiftError(f"{arm.name}: {error}") from None
    return read


def _options_of(values: Mapping[str, Any]) -> LiftOptions:
    names = {field.name for field in dataclasses.fields(LiftOptions)}
    options = LiftOptions(**{name: value for name, value in values.items() if name in names})
    options.resolve_options()
    return options


def _check_epochs(values: Mapping[str, Any], resolved: Mapping[str, LiftOptions]) -> None:
    """Raise LiftError where an epoch of one arm has more steps than that of another, and epochs are what is given."""
    lengths = {
        name: of_arm.puma_phases if METHODS[of_arm.method].keeps_pool else 1 for name, of_arm in resolved.items()
    }
    if values["max_steps"] <= 0 and len(set(lengths.values())) > 1:
        longest = max(lengths, key=lengths.__getitem__)
        raise LiftError(
            f"an epoch of {longest} has {lengths[longest]} steps for each step of the rows, as every row stays so "
            "long: pass --max_steps, so that all methods take equally many."
        )


def _forward_share(values: Mapping[str, Any]) -> float:
    """Return what a forward is of a step: a backward pass is two, and one where an adapter alone is trained."""
    backward = 1 if values["use_peft"] else 2
    return 1 / (1 + backward + bool(values["gradient_checkpointing"]))

"""The runs of a comparison: which there are, in which order, and what each is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lift.cli.comparison.arms import Arm
from lift.errors import LiftError

# Of the start, which is plain SFT whatever the first method is, and scored by none of its tasks.
_NOT_OF_A_START = (
    "one_forward", "learnability", "soft_temperature", "score_source", "score_decay", "time_density", "max_importance",
    "num_train_epochs", "eval_tasks", "eval_task_every", "eval_task_files", "eval_task_sampling", "eval_task_limit",
)  # fmt: skip
_OTHER_ORDER = 1_000_003  # the start sees its rows in another order, and so with other times and masks


@dataclass(frozen=True)
class Run:
    """A run of `lift train`."""

    name: str
    """Of its folder."""

    arm: str
    """Name of its arm; empty of a start."""

    seed: int
    settings: Mapping[str, Any]
    """By the names of their flags."""

    start: Path | None = None
    """Folder of the half-way model that it starts from."""


def run_folder(folder: Path, name: str) -> Path:
    """Return the output_dir of a run in a comparison's folder."""
    return folder / "runs" / name


def runs_of(
    folder: Path, arms: Sequence[Arm], seeds: Sequence[int], settings: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Any], *, start: str | None, start_steps: int | None,
) -> Iterator[Run]:  # fmt: skip
    """Yield the runs of one seed after those of another, so that the first of them are a smaller comparison.

    Args:
        folder: of the comparison.
        arms, seeds: each arm is run with each seed.
        settings: of each arm, by its name.
        values: of every flag, as the first arm has them.
        start: a model to start from in place of the configuration's; None without.
        start_steps: of SFT that each seed's runs start from; None without.

    Raises:
        LiftError: the half-way models would be adapters.
    """
    if start_steps is not None and values["use_peft"]:
        raise LiftError(
            "start_steps would start from an adapter, which lift train does not: train it, make one model of it by "
            "lift merge, and pass that as --start."
        )
    for seed in seeds:
        made = None
        if start_steps is not None:
            half_way = _half_way(folder, settings[arms[0].name], seed, start_steps)
            yield half_way
            made = run_folder(folder, half_way.name)
        for arm in arms:
            name = f"{arm.file_name}-seed-{seed}"
            own = _in_folder(folder, name, seed, settings[arm.name]) | _length(values, arm.factor)
            if made is not None or start is not None:
                own = {key: value for key, value in own.items() if key != "model_config"}
                own["model_name_or_path"] = str(made or start)
            yield Run(name, arm.name, seed, own, made)


def _half_way(folder: Path, settings: Mapping[str, Any], seed: int, num_steps: int) -> Run:
    name = f"start-seed-{seed}"
    kept = {key: value for key, value in settings.items() if key not in _NOT_OF_A_START}
    order = seed if kept.get("data_seed") is None else kept["data_seed"]
    own = {"method": "sft", "max_steps": num_steps, "data_seed": (order + _OTHER_ORDER) % 2**32}
    return Run(name, "", seed, _in_folder(folder, name, seed, kept) | own)


def _in_folder(folder: Path, name: str, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {"seed": seed, "output_dir": str(run_folder(folder, name))}
    return {"disable_tqdm": True, **settings, **own}  # a bar would fill the log


def _length(values: Mapping[str, Any], factor: float) -> dict[str, Any]:
    if values["max_steps"] > 0:
        return {"max_steps": round(values["max_steps"] * factor)}
    return {"num_train_epochs": round(values["num_train_epochs"] * factor, 4)}

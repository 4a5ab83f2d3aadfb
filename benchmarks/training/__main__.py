"""`python -m benchmarks.training`: what a training step of each objective costs, relative to plain SFT.

The demo's model and batch; the objectives take turns, so that a drift of the machine meets all alike. A step is loss,
backward and optimiser. With a forward of 1 and a backward of 2, LIFT-3 would cost 22 % more than SFT, LIFT-2 and GIFT
33 %: a second forward in two thirds, or in all, of the steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.harness.environment import host_environment
from benchmarks.harness.json_record import RESULTS, dated_path, write_record
from benchmarks.harness.timing import HostClock, summarize, time_in_turns
from benchmarks.training.objectives import OBJECTIVES, SFT
from benchmarks.training.step_runner import StepRunner
from lift import prepare_dataset
from lift.recipes import PRESETS
from lift.tasks import sudoku

_WARM_UP = 3
_SMOKE_STEPS, _SMOKE_BATCH = 2, 2


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    preset = yaml.safe_load((PRESETS / "sudoku.yaml").read_text())
    if options.smoke:
        preset["per_device_train_batch_size"] = _SMOKE_BATCH
    num_steps = _SMOKE_STEPS if options.smoke else options.steps
    samples = measure(preset, num_steps, num_batches=2 if options.smoke else 20)
    print(
        f"a step of {preset['per_device_train_batch_size']} rows of {preset['max_length']} tokens, mean of {num_steps}"
    )
    rows = relative_to_sft(samples)
    for row in rows:
        print(f"  {row['objective']:<26} {row['mean_ms']:7.1f} ms  {row['relative']:5.2f} x sft")
    command = " ".join(["python -m benchmarks.training", *(sys.argv[1:] if arguments is None else arguments)])
    path = dated_path(options.output, "cpu-objectives-smoke" if options.smoke else "cpu-objectives")
    write_record(path, {"command": command, **host_environment(), "objectives": rows})
    print(f"wrote {path}")


def measure(preset: dict[str, Any], num_steps: int, num_batches: int) -> dict[str, list[float]]:
    """Return the milliseconds of each step, by objective; all objectives see the same batches and draws."""
    puzzles = sudoku.generate_puzzles(num_batches * preset["per_device_train_batch_size"], seed=0)
    rows = prepare_dataset(sudoku.rows(puzzles), sudoku.build_tokenizer(), max_length=preset["max_length"])
    with tempfile.TemporaryDirectory() as folder:
        steps = {name: _Stepper(StepRunner(changes, preset, rows, folder)) for name, changes in OBJECTIVES.items()}
        # The first round of time_in_turns warms up too.
        timed = time_in_turns(steps, _nothing, HostClock(), lambda _: num_steps + _WARM_UP - 1, _raise)
    return {name: values[_WARM_UP - 1 :] for name, values in timed.items()}


def relative_to_sft(samples: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return a row for each objective.

    `relative` is of means, as modes differ from step to step; of like steps, as all objectives draw the same times.
    """
    means = {name: sum(values) / len(values) for name, values in samples.items()}
    return [
        {"objective": name, "mean_ms": mean, "relative": mean / means[SFT], **summarize(samples[name])}
        for name, mean in means.items()
    ]


class _Stepper:
    """Calls the steps of a runner one after another."""

    def __init__(self, runner: StepRunner) -> None:
        self.runner, self.number = runner, 0

    def __call__(self) -> None:
        self.runner.step(self.number)
        self.number += 1


def _nothing() -> None:
    pass


def _raise(name: str, error: Exception) -> None:
    raise error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--smoke", action="store_true", help=f"{_SMOKE_STEPS} steps of {_SMOKE_BATCH} rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file")
    return parser


if __name__ == "__main__":
    main()

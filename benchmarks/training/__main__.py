"""`python -m benchmarks.training`: what a training step of each objective costs, in time and in memory.

Time: the demo's model and batch, with attention to whole rows and to blocks; the objectives take turns, so that a drift
of the machine meets all alike. A step is draws, loss, backward and optimiser. With a forward of 1 and a backward of 2,
LIFT-3 would cost 22 % more than SFT, LIFT-2 and GIFT 33 %: a second forward in two thirds, or in all, of the steps.
In blocks a forward has twice the tokens, noisy ones and clean ones, but for the head.

Memory: loss and gradients of a two-layer model with LLaDA's vocabulary, each objective in a process of its own, and
plain SFT by the logits of all positions beside them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.harness.environment import host_environment
from benchmarks.harness.json_record import RESULTS, dated_path, write_record
from benchmarks.harness.timing import HostClock, time_in_turns
from benchmarks.models.families import Sizes
from benchmarks.training.objective_memory import SIZES, MemoryStep, measure_here, measure_in_a_process
from benchmarks.training.objectives import IN_BLOCKS, METHODS_ALONE, OBJECTIVES, SFT
from benchmarks.training.ratios import costs
from benchmarks.training.step_runner import StepRunner
from lift import LiftError, prepare_dataset
from lift.objectives import MODES
from lift.recipes import PRESETS
from lift.tasks import sudoku

_WARM_UP = 3
_SMOKE_STEPS, _SMOKE_BATCH = 2, 2
_LIFT3 = "lift3"


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    preset = yaml.safe_load((PRESETS / "sudoku.yaml").read_text())
    if options.smoke:
        preset["per_device_train_batch_size"] = _SMOKE_BATCH
    num_steps = _SMOKE_STEPS if options.smoke else options.steps
    samples, refused = measure(preset, num_steps, num_batches=2 if options.smoke else 20)
    rows, tokens = preset["per_device_train_batch_size"], preset["max_length"]
    print(f"a step of {rows} rows of {tokens} tokens, mean of {num_steps}; in brackets 60 % of the rounds")
    found = costs(samples)
    for row in found:
        print(_line(row))
    for name, sentence in refused.items():
        print(f"  {name:<26} not measured: {sentence}")
    print("MiB at the peak of loss and gradients")
    memory = _memory(options, refused)
    command = " ".join(["python -m benchmarks.training", *(sys.argv[1:] if arguments is None else arguments)])
    path = dated_path(options.output, "cpu-objectives-smoke" if options.smoke else "cpu-objectives")
    record = {
        "command": command, **host_environment(), "rows": rows, "tokens": tokens, "objectives": found,
        "not_measured": refused, "memory": memory,
    }  # fmt: skip
    write_record(path, record)
    print(f"wrote {path}")


def measure(
    preset: dict[str, Any], num_steps: int, num_batches: int
) -> tuple[dict[str, list[float]], dict[str, str]]:  # fmt: skip
    """Return the milliseconds of each step, by objective; all objectives see the same batches and draws.

    Beside them: why an objective is not measured, of those that need more than their options say.
    """
    puzzles = sudoku.generate_puzzles(num_batches * preset["per_device_train_batch_size"], seed=0)
    rows = prepare_dataset(sudoku.rows(puzzles), sudoku.build_tokenizer(), max_length=preset["max_length"])
    steps: dict[str, Callable[[], None]] = {}
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in OBJECTIVES.items():
            try:
                steps[name] = _Stepper(StepRunner(changes, preset, rows, folder))
            except LiftError as error:
                refused[name] = str(error)
        # The first round of time_in_turns warms up too.
        timed = time_in_turns(steps, _nothing, HostClock(), lambda _: num_steps + _WARM_UP - 1, _raise)
    return {name: values[_WARM_UP - 1 :] for name, values in timed.items()}, refused


def _memory(options: argparse.Namespace, refused: dict[str, str]) -> list[dict[str, Any]]:
    """Return a row for each method, but those of one mode, which take what lift3 takes; in blocks of sft and lift3."""
    sizes = Sizes.smoke() if options.smoke else SIZES
    methods = [name for name in METHODS_ALONE if name not in MODES]
    wanted = [name for name in (*methods, SFT + IN_BLOCKS, _LIFT3 + IN_BLOCKS) if name not in refused]
    steps = {name: MemoryStep(OBJECTIVES[name], sizes, options.threads) for name in wanted}
    steps[f"{SFT}, by logits"] = MemoryStep(OBJECTIVES[SFT], sizes, options.threads, by_logits=True)
    found = []
    for name, step in steps.items():
        result = measure_here(step) if options.smoke else measure_in_a_process(step)
        print(f"  {name:<26} {result['peak_mib']:7.0f}", flush=True)
        found.append({"objective": name, **vars(sizes), **result})
    return found


def _line(row: dict[str, Any]) -> str:
    def quotient(key: str) -> str:
        return f"{row[key]:5.2f} ({row[key + '_p20']:.2f} to {row[key + '_p80']:.2f}) x"

    in_blocks = f", {quotient('over_full')} whole rows" if "over_full" in row else ""
    return f"  {row['objective']:<26} {row['mean_ms']:7.1f} ms  {quotient('relative')} sft{in_blocks}"


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
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--smoke", action="store_true", help=f"{_SMOKE_STEPS} steps of {_SMOKE_BATCH} rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file")
    return parser


if __name__ == "__main__":
    main()

"""`python -m benchmarks.sampling.orders --model FOLDER`: a Sudoku model decoding in each order, and with full logits.

The orders, and two ways to propose tokens, take turns within each round: that of `lift.generate`, which reads hidden
states and makes logits of no more than the positions asked about, and from logits (B, L, V) of all positions. Times are
of the processor (`time.process_time`), which other jobs of the machine do not add to.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.harness.environment import host_environment
from benchmarks.harness.json_record import RESULTS, dated_path, write_record
from benchmarks.harness.timing import HostClock, summarize, time_in_turns
from lift.models import load_model, load_tokenizer
from lift.sampling import denoise, generate
from lift.sampling.heads import read_logits
from lift.tasks.sudoku import Puzzle, build_tokenizer, generate_puzzles
from lift.tasks.sudoku.model import decode_grids
from lift.tasks.sudoku.rules import NUM_CELLS, is_valid_solution
from lift_kernels import apply_lift_kernels

ORDERS: dict[str, dict[str, Any]] = {
    "confidence": {},
    "margin": {"remasking": "margin"},
    "entropy": {"remasking": "entropy"},
    "random": {"remasking": "random"},
    "origin": {"schedule": "bernoulli"},
}
FULL_LOGITS = "confidence, full logits"


class ProcessorClock(HostClock):
    """Seconds that this process computed, on all its threads."""

    def mark(self) -> float:
        return time.process_time()


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    model = load_model(options.model).eval()
    apply_lift_kernels(model)
    mask_token_id = load_tokenizer(options.model).mask_token_id
    puzzles = generate_puzzles(options.num_puzzles, seed=1, num_blanks=(4, 8))
    answers: dict[str, Tensor] = {}
    steps = {name: _step(name, settings, model, mask_token_id, puzzles, answers) for name, settings in ORDERS.items()}
    steps[FULL_LOGITS] = _with_logits(_step(FULL_LOGITS, {}, model, mask_token_id, puzzles, answers))
    samples = time_in_turns(steps, lambda: None, ProcessorClock(), lambda _: options.rounds, _raise)
    num_tokens = NUM_CELLS * len(puzzles)
    rows = []
    for name, milliseconds in samples.items():
        ratios = [own / other for own, other in zip(milliseconds, samples["confidence"], strict=True)]
        times = summarize(milliseconds)
        rows.append(
            {
                "name": name,
                **times,
                "tokens_per_second": 1e3 * num_tokens / times["median_ms"],
                "ratio_to_confidence": statistics.median(ratios),
                "solved": _share_solved(puzzles, answers[name]),
            }
        )
        print(
            f"  {name:<24} {rows[-1]['tokens_per_second']:9,.0f} tokens/s  {rows[-1]['ratio_to_confidence']:5.2f}  "
            f"{rows[-1]['solved']:.1%} solved"
        )
    command = " ".join(["python -m benchmarks.sampling.orders", *(sys.argv[1:] if arguments is None else arguments)])
    path = dated_path(options.output, "cpu-sampling-orders")
    write_record(
        path,
        {
            "command": command, **host_environment(), "clock": "time.process_time",
            "parameters": sum(parameter.numel() for parameter in model.parameters()), "puzzles": len(puzzles),
            "tokens_an_answer": NUM_CELLS, "steps": NUM_CELLS, "rows": rows,
        },
    )  # fmt: skip
    print(f"wrote {path}")


def _step(
    name: str, settings: dict[str, Any], model: Any, mask_token_id: int, puzzles: list[Puzzle],
    answers: dict[str, Tensor],
) -> Callable[[], None]:  # fmt: skip
    """Return what answers all puzzles, in batches of 500, and leaves the answers under `name`."""
    ids = torch.tensor(build_tokenizer()([puzzle.clues for puzzle in puzzles])["input_ids"])

    def step() -> None:
        answers[name] = torch.cat(
            [
                generate(model, part, gen_length=NUM_CELLS, mask_token_id=mask_token_id, **settings)[:, NUM_CELLS:]
                for part in ids.split(500)
            ]
        )

    return step


def _with_logits(step: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with mock.patch.object(denoise, "read_states", read_logits):
            step()

    return run


def _share_solved(puzzles: list[Puzzle], answers: Tensor) -> float:
    grids = decode_grids(build_tokenizer(), answers)
    return sum(map(is_valid_solution, [puzzle.clues for puzzle in puzzles], grids)) / len(puzzles)


def _raise(name: str, error: Exception) -> None:
    raise error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampling.orders", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--model", required=True, help="folder of a Sudoku model: lift train --preset sudoku")
    parser.add_argument("--num_puzzles", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file")
    return parser


if __name__ == "__main__":
    main()

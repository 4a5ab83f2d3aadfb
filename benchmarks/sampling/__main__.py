"""`python -m benchmarks.sampling`: what proposing tokens costs at LLaDA's vocabulary, with and without logits.

One step of a sampler whose answer is half written: as published code does it, from logits (B, L, V) of all positions,
and by `linear_sample` on the masked positions. Each variant runs in a process of its own, where its peak is the first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.harness.environment import host_environment
from benchmarks.harness.json_record import RESULTS, dated_path, write_record
from benchmarks.harness.memory import MIB, resident_peak_of
from benchmarks.harness.own_process import answer_of
from benchmarks.sampling.published import from_logits
from lift_kernels import linear_sample

SIZES = {"batch": 2, "length": 128, "width": 512, "vocab_size": 126464}
SMOKE_SIZES = {"batch": 2, "length": 8, "width": 16, "vocab_size": 1000}
SETTINGS: dict[str, dict[str, Any]] = {
    "temperature 0": {"temperature": 0.0},
    "temperature 1": {"temperature": 1.0},
    "temperature 1, top_p 0.9": {"temperature": 1.0, "top_p": 0.9},
}
WAYS = ("logits", "linear_sample")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    sizes = SMOKE_SIZES if options.smoke else SIZES
    if options.variant is not None:
        torch.set_num_threads(options.threads)
        setting, way = options.variant
        print(json.dumps(measure(setting, way, sizes)))
        return
    print(", ".join(f"{name} {size}" for name, size in sizes.items()))
    rows: list[dict[str, Any]] = []
    for setting in SETTINGS:
        for way in WAYS:
            rows.append({"setting": setting, "way": way, **_in_a_process(setting, way, options)})
            print(f"  {setting:<26} {way:<14} {rows[-1]['ms']:9.1f} ms  {rows[-1]['peak_bytes'] / MIB:8.1f} MiB")
    command = " ".join(["python -m benchmarks.sampling", *(sys.argv[1:] if arguments is None else arguments)])
    path = dated_path(options.output, "cpu-sampling-smoke" if options.smoke else "cpu-sampling")
    write_record(
        path, {"command": command, "sizes": sizes, **host_environment(), "threads": options.threads, "rows": rows}
    )
    print(f"wrote {path}")


def measure(setting: str, way: str, sizes: dict[str, int]) -> dict[str, float]:
    """Return milliseconds, and the resident bytes at the peak beyond what was there, of one step here."""
    build(setting, way, SMOKE_SIZES)()  # what a first call loads
    step = build(setting, way, sizes)
    start = time.perf_counter()
    _, peak = resident_peak_of(step)
    return {"ms": 1e3 * (time.perf_counter() - start), "peak_bytes": peak}


def build(setting: str, way: str, sizes: dict[str, int]) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return a step that gives tokens and log-probabilities (N,) of the N masked positions."""
    torch.manual_seed(0)
    states = torch.randn(sizes["batch"], sizes["length"], sizes["width"])
    weight = torch.randn(sizes["vocab_size"], sizes["width"]) / sizes["width"] ** 0.5
    is_masked = torch.rand(states.shape[:2]) < 0.5
    options = SETTINGS[setting]
    row, column = is_masked.nonzero(as_tuple=True)

    def without_logits() -> tuple[Tensor, Tensor]:
        found = linear_sample(states[is_masked], weight, seed=0, row_ids=row, positions=column, **options)
        return found.token, found.log_prob

    def with_logits() -> tuple[Tensor, Tensor]:
        token, log_prob = from_logits(F.linear(states, weight), **options)
        return token[is_masked], log_prob[is_masked]

    return without_logits if way == "linear_sample" else with_logits


def _in_a_process(setting: str, way: str, options: argparse.Namespace) -> dict[str, float]:
    words = ["--threads", str(options.threads), "--variant", setting, way, *(["--smoke"] if options.smoke else [])]
    found: dict[str, float] = answer_of("benchmarks.sampling", *words)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a small vocabulary")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file")
    parser.add_argument("--variant", nargs=2, default=None, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()

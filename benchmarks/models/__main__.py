"""`python -m benchmarks.models`: peak memory of a training step of each model family, patched against its own logits.

Two-layer models of transformers with a real vocabulary, so that what differs is the head; or checkpoints, such as
LLaDA's and Dream's, whose code lives beside their weights. Each step runs in a process of its own; the peak is resident
memory beyond what the process held before the step, gradients included. Nothing is reported unless both losses agree.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.environment import host_environment
from benchmarks.harness.json_record import RESULTS, dated_path, write_record
from benchmarks.models.families import FAMILIES, Sizes
from benchmarks.models.step_memory import ModelStep, measure_in_a_process

_LOSS_RTOL = 1e-5


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    sizes = Sizes.smoke() if options.smoke else Sizes()
    models = (options.family or []) + (options.checkpoint or []) or list(FAMILIES)
    print(
        f"{sizes.rows} x {sizes.length} tokens, half of them masked, V={sizes.vocab}, D={sizes.width} (a checkpoint's "
        f"own), float32, the head trained and frozen, {options.threads} threads: MiB at the peak of loss and gradients"
    )
    rows = [
        compare(model, trains_head, sizes, options.threads, options.trust_remote_code)
        for model in models
        for trains_head in (True, False)
    ]
    path = dated_path(options.output, "cpu-models-smoke" if options.smoke else "cpu-models")
    command = " ".join(["python -m benchmarks.models", *(sys.argv[1:] if arguments is None else arguments)])
    write_record(
        path,
        {
            "command": command, **host_environment(), "sizes": vars(sizes), "dtype": "float32", "masked": 0.5,
            "families": rows,
        },
    )  # fmt: skip
    print(f"\nwrote {path}")


def compare(model: str, trains_head: bool, sizes: Sizes, threads: int, trust_remote_code: bool) -> dict[str, Any]:
    """Measure a model both ways, print a line, and return the row of the record.

    Raises:
        SystemExit: the two losses differ by more than 1e-5 of the one through logits.
    """
    logits, patched = (
        measure_in_a_process(ModelStep(model, path, trains_head, sizes, threads, trust_remote_code))
        for path in ("logits", "patched")
    )
    if not abs(logits["loss"] - patched["loss"]) <= _LOSS_RTOL * abs(logits["loss"]):
        losses = logits["loss"], patched["loss"]
        raise SystemExit(f"{model}: the losses {losses} differ, so nothing is reported")
    ratio = logits["peak_mib"] / patched["peak_mib"] if patched["peak_mib"] else None
    print(
        f"  {model:<20} {'trained' if trains_head else 'frozen':<8} logits {logits['peak_mib']:6.0f}   "
        f"patched {patched['peak_mib']:6.0f}" + ("" if ratio is None else f"   {ratio:5.1f} x")
    )
    return {"family": model, "trains_head": trains_head, "logits": logits, "patched": patched, "ratio": ratio}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="default: all, without --checkpoint")
    parser.add_argument("--checkpoint", action="append", metavar="FOLDER", help="measure this model with its weights")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code that comes with a checkpoint")
    parser.add_argument("--smoke", action="store_true", help="a small vocabulary and few tokens")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file")
    return parser


if __name__ == "__main__":
    main()

"""`python -m benchmarks.run`: gate, measure, print a table, write JSON.

No speed is reported for a wrong result: first each token's loss is compared with a float64 truth. The table says how
far each provider's mean loss is from it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import measure
from benchmarks.cases import CASES, DEFAULT, Case
from benchmarks.providers import PROVIDERS, matrix_products, missing
from lift_kernels import __version__, linear_cross_entropy, reference

_GATE_ROWS = 64
_RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=list(CASES), help=f"default: {' and '.join(DEFAULT)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=_RESULTS, help="folder for the JSON file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = [run_case(CASES[name], options.rounds) for name in options.case or DEFAULT]
    record = {"command": " ".join(["python -m benchmarks.run", *sys.argv[1:]]), **environment(), "cases": results}
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{datetime.date.today():%Y-%m-%d}-cpu-linear-cross-entropy.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nwrote {path}")


def run_case(case: Case, rounds: int) -> dict[str, Any]:
    truth = check_accuracy(case)
    print(
        f"\n{case.name}: N={case.num_tokens} D={case.width} V={case.vocab_size} {str(case.dtype).split('.')[1]}, "
        f"{case.ignored:.0%} ignored, {torch.get_num_threads()} threads, loss and gradients"
    )
    steps = {name: step for name, step in PROVIDERS.items() if missing(name) is None}
    samples = measure.times(steps, case, rounds)
    rows = []
    bound = measure.summary(samples[_bound_name()])["median_ms"]
    for name in PROVIDERS:
        if name not in steps:
            rows.append({"provider": name, "missing": missing(name)})
            print(f"  {name:<36} {missing(name)}")
            continue
        row: dict[str, Any] = {"provider": name, **measure.summary(samples[name])}
        row["times_the_products"] = row["median_ms"] / bound
        row["peak_mib"] = measure.peak_bytes(name, case) / 2**20
        loss = steps[name](*case.inputs())
        row["loss_error_nats"] = None if loss is None else abs(loss.item() - truth)
        rows.append(row)
        print(
            f"  {name:<36} {row['median_ms']:8.1f} ms  ({row['p20_ms']:.1f} to {row['p80_ms']:.1f})  "
            f"{row['times_the_products']:5.2f} x products  {row['peak_mib']:5.0f} MiB extra at peak"
            + ("" if loss is None else f"  loss off by {row['loss_error_nats']:.0e}")
        )
    return {
        "case": case.name, "N": case.num_tokens, "D": case.width, "V": case.vocab_size, "dtype": str(case.dtype),
        "ignored": case.ignored, "trains_head": case.trains_head, "rounds": rounds, "providers": rows,
    }  # fmt: skip


def check_accuracy(case: Case) -> float:
    """Return the mean loss in float64; stop unless each token's loss is within 1e-4 nats of it."""
    hidden_states, weight, targets = (tensor.detach() for tensor in case.inputs())
    ours = linear_cross_entropy(hidden_states, weight, targets, reduction="none")
    truth = torch.cat(
        [
            reference.linear_cross_entropy(rows.double(), weight.double(), labels, reduction="none")
            for rows, labels in zip(hidden_states.split(_GATE_ROWS), targets.split(_GATE_ROWS), strict=True)
        ]
    )
    error = (ours.double() - truth).abs().max().item()
    if not error <= 1e-4:
        raise SystemExit(f"{case.name}: wrong by {error:.3g} nats, so nothing is timed")
    return truth.sum().item() / (targets != -100).sum().item()


def environment() -> dict[str, Any]:
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "lift_kernels": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    """None without git, or outside a repository: a rented machine gets a bare copy of the files."""
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=_RESULTS.parent)
    except OSError:
        return None
    return result.stdout.strip() or None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _bound_name() -> str:
    return next(name for name, step in PROVIDERS.items() if step is matrix_products)


if __name__ == "__main__":
    main()

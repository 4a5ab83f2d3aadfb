"""`python -m benchmarks.ops`: this package's ops on a CPU beside their rivals; a table, and a JSON file.

No speed is reported for a wrong result: each token's loss and every gradient are first compared with float64. The
table says how far each provider's mean loss is from it. Exit status: 0, or 1 if something of ours is wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.environment import host_environment
from benchmarks.harness.json_record import RESULTS, dated_path, write_record
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import CASES, cases_of
from benchmarks.ops.comparison import Comparison
from benchmarks.ops.peak_memory import peak_in_a_process, peak_on_device
from benchmarks.ops.providers import is_own

_DEFAULT = ("cpu-32k-frozen", "cpu-32k-trained")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    config = RunConfig(torch.device("cpu"), "torch", is_smoke=options.smoke)
    names = list(cases_of("smoke")) if options.smoke else options.case or _DEFAULT
    records = []
    for name in names:
        case = CASES[name]
        measure_peak = peak_on_device if options.smoke else peak_in_a_process  # a process takes seconds to begin
        comparison = Comparison(case, config, None, lambda _: options.rounds, measure_peak)
        records.append({**comparison.run(), "ignored": case.ignored})
        print_table(records[-1])
    command = " ".join(["python -m benchmarks.ops", *(sys.argv[1:] if arguments is None else arguments)])
    path = dated_path(options.output, "cpu-ops-smoke" if options.smoke else "cpu-linear-cross-entropy")
    write_record(path, {"command": command, **host_environment(), "cases": records})
    wrong = complaints(records)
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    print(f"\nwrote {path}")
    return 1 if wrong else 0


def print_table(record: dict[str, Any]) -> None:
    """Print one case: a line for each provider."""
    what = "statistics" if record["kind"] == "stats" else "loss and gradients"
    print(
        f"\n{record['case']}: N={record['N']} D={record['D']} V={record['V']} {record['dtype'].split('.')[1]}, "
        f"{record['ignored']:.0%} ignored, {torch.get_num_threads()} threads, {what}"
    )
    for row in record["providers"]:
        print(f"  {row['provider']:<34}" + _measured(row))


def _measured(row: dict[str, Any]) -> str:
    if "median_ms" not in row:
        reason: str = row.get("missing") or row.get("wrong") or row["error"]
        return reason
    words = f"{row['median_ms']:8.1f} ms  ({row['p20_ms']:.1f} to {row['p80_ms']:.1f})"
    if row["percent_of_bound"] is not None:
        words += f"  {100 / row['percent_of_bound']:5.2f} x products"
    if row.get("peak_mib") is not None:
        words += f"  {row['peak_mib']:5.0f} MiB extra at peak"
    if "loss_error_nats" in row:
        words += f"  loss off by {row['loss_error_nats']:.0e}"
    return words


def complaints(records: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each row of our own that is wrong or raised."""
    return [
        f"{record['case']}, {row['provider']}: {sentence}"
        for record in records
        for row in record["providers"]
        if is_own(row["provider"]) and (sentence := row.get("error") or row.get("wrong"))
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ops", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=list(CASES), help=f"default: {' and '.join(_DEFAULT)}")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes only")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())

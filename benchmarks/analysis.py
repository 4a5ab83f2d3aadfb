"""`python -m benchmarks.analysis -- MODEL_AND_ROWS`: time and peak memory of `lift analyze`, report included.

Behind the dashes stands what `lift analyze` takes, but for `--output_dir`. It runs as a command of its own, whose
processor time and resident peak the kernel counts; a table of one process, as several would share the cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.harness.environment import host_environment, machine_load
from benchmarks.harness.json_record import RESULTS, dated_path, write_record


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    found = measure(options.words, options.threads)
    print(
        "{tokens:,} masked tokens in {processor_seconds:.0f} s of the processor, {seconds:.0f} s by the clock with "
        "{threads} threads; at most {peak_mib:.0f} MiB".format(**found)
    )
    command = shlex.join(["python", "-m", "benchmarks.analysis", *(sys.argv[1:] if arguments is None else arguments)])
    path = dated_path(options.output, "cpu-analysis")
    write_record(path, {"command": command, **host_environment(), **found, "load_after": machine_load()})
    print(f"wrote {path}")


def measure(words: list[str], threads: int) -> dict[str, Any]:
    """Return what analysing takes: seconds, MiB, and the number of masked tokens.

    Args:
        words: of `lift analyze`, without its folder.
        threads: of torch.

    Raises:
        subprocess.CalledProcessError: the command failed, and has said why.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        began, before = time.perf_counter(), _children()
        subprocess.run(
            [sys.executable, "-m", "lift.cli", "analyze", *words, "--output_dir", folder], check=True, env=environment
        )
        after = _children()
        return {
            "threads": threads,
            "tokens": sum(pq.read_metadata(path).num_rows for path in (Path(folder) / "tokens").glob("*.parquet")),
            "seconds": time.perf_counter() - began,
            "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "peak_mib": after.ru_maxrss / 1024,
        }


def _children() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analysis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="+", metavar="WORD", help="of lift analyze, behind --")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON file")
    return parser


if __name__ == "__main__":
    main()

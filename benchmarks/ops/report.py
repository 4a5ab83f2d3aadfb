"""`python -m benchmarks.ops.report FILE [FILE ...]`: tables of results on the screen, and plots as PNG.

FILE is what `make bench` or `pytest benchmarks --benchmark-json=FILE` wrote. Several are told one after the other:
numbers are comparable within a file only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.ops.plots import write_plots
from benchmarks.ops.results import Results
from benchmarks.ops.tables import tables


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ops.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="+", type=Path)
    parser.add_argument("--plots", type=Path, help="folder for the PNG files; without it none are drawn")
    options = parser.parse_args(arguments)
    for path in options.file:
        try:
            results = Results.read(path)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        print(heading(path, results))
        print(tables(results))
        if options.plots is not None:
            for plot in write_plots(results, options.plots):
                print(f"wrote {plot}")
    return 0


def heading(path: Path, results: Results) -> str:
    """Return what the numbers were measured with."""
    facts = results.environment
    versions = [
        f"torch {facts.get('torch')}",
        *(f"{name} {version}" for name, version in facts.get("peers", {}).items()),
        *(f"{name}={value}" for name, value in facts.get("settings", {}).items()),
    ]
    where = facts.get("device")
    if where == "cpu":
        threads = f"{facts.get('threads')} thread" + ("" if facts.get("threads") == 1 else "s")
        where = f"{facts.get('processor')} with {facts.get('instructions')}, {threads}"
    load = ""
    if "load_before" in facts:
        load = f"; load {facts['load_before']} before, {facts.get('load_after', 'unknown')} after"
    command = f"\n\n    {facts['command']}" if "command" in facts else ""
    return f"## {path.name}: {where}; {', '.join(versions)}; {facts.get('date')}{load}{command}\n"


if __name__ == "__main__":
    sys.exit(main())

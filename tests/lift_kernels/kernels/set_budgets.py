"""Set the budgets of machine code anew, and docs/machine_code.md, from what the kernels compile to now.

    python -m tests.lift_kernels.kernels.set_budgets

What changed is in the difference, line by line: whoever reviews it sees what a change of a kernel gained and lost. The
reports of `compile_matrix`, kept in a file, may be given instead of being made again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lift_kernels.kernels.launch_configs import ARCHITECTURES
from tests.lift_kernels.kernels.compile_matrix import compile_all
from tests.lift_kernels.kernels.machine_code_bounds import write_document
from tests.lift_kernels.kernels.machine_code_budgets import BUDGETS_FILE, Facts, write_table

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "machine_code.md"


def main(files: list[str]) -> None:
    if files:
        reports = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    else:
        reports = list(compile_all(list(ARCHITECTURES)))
    facts = [Facts.of(report) for report in reports if report["is_aligned"]]
    facts.sort(key=lambda f: (f.kernel, f.use, ARCHITECTURES.index(f.architecture)))
    (release,) = {report["triton"] for report in reports}
    BUDGETS_FILE.write_text(write_table(facts, release))
    DOCUMENT.write_text(write_document(facts, release))
    print(f"{len(facts)} launches: {BUDGETS_FILE.name} and {DOCUMENT.name}")


if __name__ == "__main__":
    main(sys.argv[1:])

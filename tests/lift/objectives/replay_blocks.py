"""Repeat recorded steps of published block diffusion trainers: `python -m tests.lift.objectives.replay_blocks FOLDER`.

Times, masks, corrupted ids, labels, weights and attention must be equal, losses and gradients within 3e-6 of the
largest entry. Prints how many cases are equal; status 1 unless all are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lift.support.golden_blocks import Case


def main(folder: Path) -> int:
    """Replay each case of a folder; return the exit status."""
    paths = sorted(path for path in folder.iterdir() if (path / f"{path.name}.json").exists())
    num_equal = 0
    for path in paths:
        try:
            found = Case.read(path).differences()
        except Exception as error:  # the other cases are replayed all the same
            found = [f"{type(error).__name__}: {error}"]
        num_equal += not found
        for sentence in found:
            print(f"{path.name}: {sentence}", file=sys.stderr)
    print(f"{num_equal} of {len(paths)} equal")
    return int(num_equal != len(paths) or not paths)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

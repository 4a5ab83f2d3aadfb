"""Repeat recorded steps of published block diffusion trainers: `python -m tests.lift.objectives.replay_blocks FOLDER`.

Times, masks, corrupted ids, labels, weights and attention must be equal, losses and gradients within 3e-6 of the
largest entry. Prints how many cases are equal; status 1 unless all are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lift.support.golden_blocks import Case
from tests.lift.support.replayed_folder import replay_folder


def main(folder: Path) -> int:
    """Replay each case of a folder; return the exit status."""
    return replay_folder(folder, {"": lambda path: Case.read(path).differences()})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

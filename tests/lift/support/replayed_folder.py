"""Replay the recorded cases of a folder, and count those that are equal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def replay_folder(folder: Path, ways: Mapping[str, Callable[[Path], Sequence[str]]]) -> int:
    """Replay each case of a folder in each way; print how many cases are equal, return the exit status.

    A way gets the path of a case and returns what differs, a sentence each; its name stands before them.
    """
    paths = sorted(path for path in folder.iterdir() if (path / f"{path.name}.json").exists())
    num_equal = 0
    for path in paths:
        found = [f"{path.name}{way}: {sentence}" for way in ways for sentence in _tried(ways[way], path)]
        num_equal += not found
        for sentence in found:
            print(sentence, file=sys.stderr)
    print(f"{num_equal} of {len(paths)} equal")
    return int(num_equal != len(paths) or not paths)


def _tried(differences: Callable[[Path], Sequence[str]], path: Path) -> Sequence[str]:
    try:
        return differences(path)
    except Exception as error:  # the other cases are replayed all the same
        return [f"{type(error).__name__}: {error}"]

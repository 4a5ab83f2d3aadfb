"""The 4x4 Sudoku scorer of LIFT and d1 (`parse_sudoku_answers`), mistakes included."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PATTERNS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<answer>.*?```\s*([\d\s]+)```",
        r"<answer>(.*?)(?:<\|eot_id\|>|<\|endoftext\|>|</answer>)",
        r"</answer>\s*(.*?)(?:<\|eot_id\|>|<\|endoftext\|>|$)",
        r".*?(\d{16})\s*</answer>",
        r"\b(\d{16})\b",
    )
)


def score(output: str, reference: Mapping[str, Any]) -> float:
    """Return how many empty cells equal the key in the first match, filled up with 0 or cut to 16 characters."""
    puzzle, solution = str(reference["puzzle"]), str(reference["solution"])
    matches = (pattern.search(output) for pattern in _PATTERNS)
    found = next((match[1] for match in matches if match and match[1].strip()), "")
    grid = re.sub(r"\s", "", found).ljust(16, "0")
    return float(sum(clue == "0" and grid[i] == solution[i] for i, clue in enumerate(puzzle)) if found else 0)

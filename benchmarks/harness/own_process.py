"""Measurements that need a process of their own, as earlier peaks, or what was loaded before, would hide theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def answer_of(module: str, *words: str) -> Any:
    """Run `python -m module words` at the root of the checkout, and return the JSON in the last line that it prints.

    Raises:
        RuntimeError: it failed; the message has its words, and the end of what it said.
    """
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(words)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])

"""Load torch and transformers without collecting garbage meanwhile."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Collect no garbage while modules are loaded, and never look at what they made: it lives to the process's end.

    Else each of thousands of modules is looked at again and again, at the start, whenever a training collects, and at
    the end. Where most are loaded already, as in a program that calls `lift.cli.main`, nothing changes.
    """
    if "accelerate" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()

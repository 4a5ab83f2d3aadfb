"""Functions of C that torch's library for CPUs exports beside its operators."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch


def exported(name: str, argument_types: Sequence[type[Any]]) -> Callable[..., None] | None:
    """Return the function without a result of this (mangled) name, there or in what it is linked with, or None."""
    library = _library()
    if library is None or not hasattr(library, name):
        return None
    function = getattr(library, name)
    function.argtypes, function.restype = argument_types, None
    return function


def returns(name: str, trial: str) -> bool:
    """Whether a call of the function returns, tried in a process of its own, as an exception of C++ would end this one.

    Args:
        name: of an exported function.
        trial: Python that calls it as `function`, with ctypes imported.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return False
    words = [sys.executable, "-I", "-S", "-c", _BEFORE_TRIAL + trial, str(_path()), name]
    try:
        return subprocess.run(words, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


_BEFORE_TRIAL = """
import ctypes, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
function = getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])
"""


@cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(_path()))
    except OSError:
        return None


def _path() -> Path:
    return Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"

"""Functions of C that torch's library for CPUs exports beside its operators."""

from __future__ import annotations

import ctypes
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


@cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    except OSError:
        return None

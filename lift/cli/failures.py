"""From what libraries raise to one sentence, which names the thing and the remedy as far as they are known."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from contextlib import suppress

from lift.errors import LiftError

AFTER_FIRST_STEP = "raised after the first optimiser step"
"""Note on an exception that came too late to be about the arguments alone: its traceback is for it."""

_LONGEST = 400  # characters of a library's message
_OF_TRAIN = ("transformers", "accelerate", "datasets", "safetensors", "yaml", "rich", "tqdm", "huggingface_hub")
_ANOTHER_PLACE = "choose another place, or change its permissions"
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.EACCES: _ANOTHER_PLACE,
    errno.EPERM: _ANOTHER_PLACE,
    errno.EROFS: _ANOTHER_PLACE,
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit with ulimit -n",
}


def is_refusal(error: BaseException) -> bool:
    """Return whether a sentence says enough of an exception: not after the first step, nor of a bug of this project."""
    if isinstance(error, LiftError):
        return True
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    is_ours = (missing or "").partition(".")[0] in ("lift", "lift_kernels")
    return not is_ours and AFTER_FIRST_STEP not in getattr(error, "__notes__", ())


def report(program: str, error: BaseException) -> None:
    """Print the sentence on stderr; above it, where LIFT_DEBUG is set, the traceback with all that led to it."""
    if os.environ.get("LIFT_DEBUG", "0") not in ("", "0"):
        _print(_whole_traceback(error))
    _print(f"{program}: {sentence_of(error)}\n")


def sentence_of(error: BaseException) -> str:
    """Return one sentence about an exception: that of a `LiftError`, else what its message and type tell."""
    if isinstance(error, LiftError):
        return str(error)
    for describe in (_about_module, _about_memory, _about_file):
        if sentence := describe(error):
            return sentence
    message = _first_sentence(str(error))
    if type(error) not in (ValueError, RuntimeError, ImportError, OSError):  # whose messages tell more than their names
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{message}. LIFT_DEBUG=1 shows where."


def _first_sentence(message: str) -> str:
    """Return the first sentence in one line, without its full stop, and what to install where a later one says it."""
    words = " ".join(message.split())
    first = words.split(". ")[0].strip(" .!")
    first = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}..."
    install = re.search(r"pip install [\w\-'\[\]>=<.,/:+]+", words)
    if install is not None and install[0] not in first:
        first += f": {install[0].rstrip('.,')}"
    return first


def _about_module(error: BaseException) -> str:
    # A distribution that is missing has its requirement for a name.
    if not isinstance(error, ModuleNotFoundError) or not re.fullmatch(r"[\w.-]+", error.name or ""):
        return ""
    package = str(error.name).partition(".")[0]
    install = "'lift-kernels[train]'" if package in _OF_TRAIN else package
    return f"{package} is not installed: pip install {install}."


def _about_memory(error: BaseException) -> str:
    # torch's by its name, as torch need not be loaded.
    if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
        return ""
    what = _first_sentence(str(error)) or "the machine has not enough"
    return (
        f"out of memory: {what}. Lower --per_device_train_batch_size or --max_length, or pass "
        "--gradient_checkpointing true."
    )


def _about_file(error: BaseException) -> str:
    """About an OSError of the operating system, which has a number; libraries raise others."""
    if not isinstance(error, OSError) or error.errno is None:
        return ""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    remedy = _REMEDIES.get(error.errno, "LIFT_DEBUG=1 shows where")
    return f"{': '.join([*names, os.strerror(error.errno)])}: {remedy}."


def _print(text: str) -> None:
    with suppress(OSError):  # there is nobody left to tell
        print(text, end="", file=sys.stderr, flush=True)


def _whole_traceback(error: BaseException) -> str:
    link: BaseException | None = error
    while link is not None:
        link.__suppress_context__ = False  # `from None` spares users the cause, which is what they ask for here
        link = link.__cause__ or link.__context__
    return "".join(traceback.format_exception(error))

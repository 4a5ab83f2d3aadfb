"""One `lift train` in a process of its own, so that what ends it leaves the others, and a signal reaches it once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from lift.errors import Interrupted, LiftError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def train_in_child(words: Sequence[str], log: Path, lock: int) -> tuple[int, str]:
    """Run `lift train` to its end; what it says goes to the file `log`, behind what is there.

    SIGINT, SIGTERM and SIGHUP are handed on, so that it stops as it does by itself, with a checkpoint.

    Args:
        words: behind `lift train`.
        log: a file.
        lock: a file descriptor of the lock on the comparison, which the child holds as long as it lives.

    Returns: its exit status, negative of one that a signal killed, and the last line that it said.

    Raises:
        Interrupted: it has ended after a signal to this process.
    """
    command = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "lift.cli", "train", *words]
    with log.open("ab") as file:
        begin = file.tell()
        with _signals_handed_on() as child:
            # A group of its own: else a terminal's Ctrl-C would reach it beside ours, and a second one ends it at once.
            child.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, process_group=0,
                pass_fds=(lock,), env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
            if child.signal:  # it came while the child was being made
                child.process.send_signal(child.signal)
            status = child.process.wait()
    if child.signal:
        raise Interrupted(child.signal)
    return status, _last_line(log, begin)


class _Child:
    process: subprocess.Popen[bytes] | None = None
    signal = 0


@contextmanager
def _signals_handed_on() -> Iterator[_Child]:
    child = _Child()

    def hand_on(number: int, frame: FrameType | None) -> None:
        child.signal = number
        if child.process is None:
            return
        print("stopping after the step under way; a second signal leaves at once", file=sys.stderr, flush=True)
        child.process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    # What is ignored (nohup) stays so, in the child too.
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    replaced = {number: old for number, old in handlers.items() if old not in (None, signal.SIG_IGN)}
    for number in replaced:
        signal.signal(number, hand_on)
    try:
        yield child
    finally:
        for number, old in replaced.items():
            signal.signal(number, old)


def _last_line(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("lift train: ") if lines else ""


@contextmanager
def lock_on(folder: Path) -> Iterator[int]:
    """Hold the lock on a comparison's folder, and give its descriptor.

    Raises:
        LiftError: another process holds it: a comparison, or a run that one left behind when it was killed.
    """
    import fcntl

    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LiftError(
                f"{folder} is being written by another lift compare, or by a run that a killed one left behind: wait "
                "for it, or end it."
            ) from None
        yield file.fileno()

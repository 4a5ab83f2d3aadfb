"""Run a program and its tests in a confined child, and say how it ended."""

from __future__ import annotations

import logging
import os
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from lift.confinement.seccomp import unsupported
from lift.errors import LiftError

logger = logging.getLogger(__name__)

Outcome = Literal["pass", "fail", "timeout"]

CHILD = Path(__file__).with_name("child.py")
# The longest honest message: what Landlock said, the word, and the number.
_LONGEST_STATUS = 512


def run_program(program: str, tests: str, entry: str, seconds: float = 10.0, *, memory_bytes: int = 4 << 30) -> Outcome:
    """Run generated code and its tests, confined: no network, other process, signal, nor file opened for writing.

    A child of its own session, empty environment and folder, with limits on time, memory and output, and a seccomp
    filter that allows what one interpreter needs; where the kernel has Landlock, it reads nothing but the interpreter
    and the system's libraries. It has the standard library alone. No root, container or namespace is needed, and the
    caller may be any thread. A run takes about 0.05 s.

    Known limit: program and tests share a process, so code that walks frames or memory can find the number by which the
    child says that the tests ended, and pass without solving anything. It cannot get out.

    Args:
        program: Python source, of any content.
        tests: Python source, run after it with its names; they fail by raising.
        entry: name of the function under test, whose answers must have a class of Python's own: one that equals
            everything fails. Empty where there is none.
        seconds: until the child is killed, above 0.
        memory_bytes: of address space, a quarter of which may hold data.
    Returns: "pass" where the tests ran to their end, "timeout" where the child was killed for time, else "fail".
    Raises: LiftError where a program cannot be confined; it is not run then.
    """
    if why := unsupported():
        raise _refusal(why)
    folder = tempfile.mkdtemp(prefix="confined-")
    status, child_status = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(CHILD), str(child_status)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(child_status,), cwd=folder, env={}, start_new_session=True,
        )  # fmt: skip
        os.close(child_status)
        number = secrets.token_bytes(16)
        deadline = time.monotonic() + seconds
        try:
            _hand_over(child, number, (program, tests, entry), memory_bytes, seconds)
            said = _listen(status, child, deadline)
            exit_status = _wait(child, deadline)
        finally:
            # Its session is its group; the child itself is reaped only afterwards, so the number is still its own.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    finally:
        os.close(status)
        shutil.rmtree(folder, ignore_errors=True)
    return _outcome(said, number, exit_status)


def _hand_over(
    child: subprocess.Popen[bytes], number: bytes, texts: tuple[str, str, str], memory_bytes: int, seconds: float
) -> None:
    # A lone surrogate is no UTF-8: the child decodes it and fails to compile it.
    parts = [text.encode(errors="surrogatepass") for text in texts]
    head = struct.pack("5Q", memory_bytes, int(seconds) + 2, *map(len, parts))
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin as stdin:
        stdin.write(head + number + b"".join(parts))


def _listen(status: int, child: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Return what the child wrote until it closed its end, died, wrote too much, or time was up."""
    said = b""
    while (left := deadline - time.monotonic()) > 0 and len(said) < _LONGEST_STATUS:
        if select.select([status], [], [], min(0.2, left))[0]:
            chunk = os.read(status, _LONGEST_STATUS)
            if not chunk:
                break
            said += chunk
        elif child.poll() is not None:
            break
    return said


def _wait(child: subprocess.Popen[bytes], deadline: float) -> int | None:
    try:
        return child.wait(max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def _outcome(said: bytes, number: bytes, exit_status: int | None) -> Outcome:
    files, _, verdict = said.partition(b" ")
    if files == b"refused":
        raise _refusal(verdict.decode(errors="replace"))
    if files == b"no-files":
        logger.warning("this kernel has no Landlock: generated code cannot write files, but it can read yours.")
    if exit_status is None:
        return "timeout"
    if files not in (b"landlock", b"no-files"):  # the program runs only after this word
        raise _refusal(f"the child ended before its limits were set, with exit status {exit_status}")
    return "pass" if verdict == b"pass " + number and exit_status == 0 else "fail"


def _refusal(why: str) -> LiftError:
    return LiftError(f"generated code cannot be confined here, so it was not run: {why}. Run it on Linux with seccomp.")

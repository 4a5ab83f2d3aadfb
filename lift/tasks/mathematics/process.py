"""The process that compares answers, from the side of those who ask: any thread, one question at a time."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import Any

from lift.errors import LiftError

# -P keeps the working directory out of what can be imported.
COMMAND = (sys.executable, "-P", "-m", "lift.tasks.mathematics.server")


class Server:
    """Starts on the first question, again where it died, and ends with this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None

    def ask(self, question: dict[str, str]) -> Any:
        line = json.dumps(question) + "\n"
        with self.lock:
            for _ in range(2):  # a server that somebody killed is no verdict
                if self.process is not None and self.process.poll() is not None:
                    self.close()
                if self.process is None:
                    self.process = _start()
                assert self.process.stdin is not None and self.process.stdout is not None
                try:
                    self.process.stdin.write(line)
                    self.process.stdin.flush()
                    answer = self.process.stdout.readline()
                except BrokenPipeError:
                    answer = ""
                except BaseException:  # Ctrl-C: the answer that still comes belongs to no later question
                    self.close()
                    raise
                if answer:
                    return json.loads(answer)
                self.close()
        raise LiftError(
            "the process that compares answers in mathematics ends at once: "
            "`python -m lift.tasks.mathematics.server` shows why."
        )

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def ask(question: dict[str, str]) -> Any:
    """Return the answer of `lift.tasks.mathematics.server`, None where it took too long.

    Raises: LiftError if math-verify or its parser is not installed.
    """
    if find_spec("math_verify") is None or find_spec("antlr4") is None:
        raise LiftError("answers in mathematics need math-verify with antlr4 4.11: pip install 'lift-kernels[eval]'.")
    return _server.ask(question)


def _start() -> subprocess.Popen[str]:
    # What is importable here is importable there.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True,
        encoding="utf-8",
    )  # fmt: skip


def _forget() -> None:
    """In a forked copy of this process: the server and its lock are the parent's."""
    global _server
    inherited = _server.process
    if inherited is not None:
        inherited.returncode = 0  # nobody waits here for a child that is not ours
    _server = Server()


_server = Server()
atexit.register(lambda: _server.close())
os.register_at_fork(after_in_child=_forget)

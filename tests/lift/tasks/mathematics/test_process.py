"""The process that compares answers: one, started late, and replaced where it dies."""

from __future__ import annotations

import os
import sys
import textwrap
from importlib.util import find_spec

import pytest

from lift.errors import LiftError
from lift.tasks.mathematics import process

needs_math_verify = pytest.mark.skipif(
    find_spec("math_verify") is None, reason="math-verify is not installed (extra `eval`)"
)
ECHO = """
    import json, sys
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "die":
            sys.exit(3)
        print(json.dumps(question["answer"]), flush=True)
"""


@pytest.fixture
def echo(monkeypatch, tmp_path):
    """A server in its place that needs no library."""
    (tmp_path / "echo.py").write_text(textwrap.dedent(ECHO))
    monkeypatch.setattr(process, "COMMAND", (sys.executable, str(tmp_path / "echo.py")))
    monkeypatch.setattr(process, "find_spec", lambda name: True)
    server = process.Server()
    monkeypatch.setattr(process, "_server", server)
    yield server
    server.close()


def test_questions_go_to_one_process(echo):
    assert [process.ask({"do": "say", "answer": word}) for word in ("ä", "b")] == ["ä", "b"]
    first = echo.process
    assert process.ask({"do": "say", "answer": "c"}) == "c" and echo.process is first


def test_a_dead_server_is_started_again(echo):
    process.ask({"do": "say", "answer": "a"})
    echo.process.kill()
    echo.process.wait()
    assert process.ask({"do": "say", "answer": "b"}) == "b"


def test_a_server_that_always_dies_is_an_error(echo):
    with pytest.raises(LiftError, match="ends at once"):
        process.ask({"do": "die", "answer": ""})


def interrupt() -> str:
    raise KeyboardInterrupt


def test_an_interrupted_question_leaves_no_answer_to_the_next(echo, monkeypatch):
    process.ask({"do": "say", "answer": "a"})
    monkeypatch.setattr(echo.process.stdout, "readline", interrupt, raising=False)
    with pytest.raises(KeyboardInterrupt):
        process.ask({"do": "say", "answer": "b"})
    assert process.ask({"do": "say", "answer": "c"}) == "c"


def test_a_forked_copy_asks_its_own(echo):
    process.ask({"do": "say", "answer": "a"})
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # as the workers of a data loader
        try:
            os.write(writing, process.ask({"do": "say", "answer": "child"}).encode())
            process._server.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"child"
    assert process.ask({"do": "say", "answer": "b"}) == "b"
    os.close(reading)
    os.close(writing)


def test_without_math_verify_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(process, "find_spec", lambda name: None)
    with pytest.raises(LiftError, match=r"pip install 'lift-kernels\[eval\]'"):
        process.ask({"do": "verify", "answer": "1", "key": "1"})


@needs_math_verify
def test_what_takes_too_long_is_none_and_the_next_one_is_answered():
    assert process.ask({"do": "verify", "key": "3", "answer": "9^{9^{9^9}}"}) is None
    assert process.ask({"do": "verify", "key": "\\frac12", "answer": "0.5"}) is True

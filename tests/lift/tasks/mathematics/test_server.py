"""The server: answers as lines, a child a question."""

from __future__ import annotations

import io
import json
from importlib.util import find_spec

import pytest

from lift.tasks.mathematics import server


@pytest.mark.skipif(find_spec("math_verify") is None, reason="math-verify is not installed (extra `eval`)")
def test_lines_in_and_lines_out(monkeypatch):
    questions = [{"do": "verify", "key": "\\frac12", "answer": answer} for answer in ("0.5", "0.50001")]
    out = io.StringIO()
    monkeypatch.setattr(
        server.sys, "stdin", io.StringIO("".join(json.dumps(question) + "\n" for question in questions))
    )
    monkeypatch.setattr(server.sys, "stdout", out)
    monkeypatch.setattr(server.logging, "disable", lambda level: None)
    server.serve()
    assert out.getvalue() == "true\nfalse\n"


@pytest.mark.parametrize(
    "work",
    [
        lambda question: [x for x in iter(int, 1)],
        lambda question: "x" * (1 << 40),
        lambda question: 1 / 0,
        lambda question: exit(),
    ],
)
def test_a_child_that_ends_without_an_answer_gives_none(monkeypatch, work):
    monkeypatch.setattr(server, "_answer", work)
    answer, seconds = server._in_a_child({"do": "verify"}, 0.2)
    assert answer is None and seconds < 2


def test_a_child_that_waits_is_ended(monkeypatch):
    monkeypatch.setattr(server, "_answer", lambda question: server.time.sleep(60))
    monkeypatch.setattr(server, "WALL_SECONDS", 0.2)
    assert server._in_a_child({"do": "verify"}, 5.0)[0] is None

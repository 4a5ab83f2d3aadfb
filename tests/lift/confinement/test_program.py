"""Generated code: what it can and cannot do, and how each run ends."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lift.confinement import program as confinement
from lift.confinement import run_program
from lift.confinement.seccomp import unsupported
from lift.errors import LiftError

pytestmark = pytest.mark.skipif(bool(unsupported()), reason=unsupported() or "runs")

TESTS = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(10) == 11\n\ncheck(add_one)\n"
RIGHT = "def add_one(x):\n    return x + 1\n"
WRONG = "def add_one(x):\n    return x + 2\n"


def outcome(program: str, tests: str = TESTS, seconds: float = 8.0) -> str:
    return run_program(program, tests, "add_one", seconds)


def test_a_right_program_passes_and_a_wrong_one_fails():
    assert outcome(RIGHT) == "pass"
    assert outcome(WRONG) == "fail"
    assert outcome("def add_one(x:\n") == "fail"
    assert outcome("") == "fail"  # without the function
    assert run_program("x = 1", "assert x == 1", "") == "pass"


def test_honest_programs_are_not_hindered():
    libraries = "import math, re, json, random, decimal, collections.abc, unicodedata, asyncio, dataclasses\n"
    assert outcome(libraries + RIGHT) == "pass"
    deep = "def add_one(x):\n    return 1 if x == 0 else 1 + add_one(x - 1)\n"
    assert outcome(deep, "check = add_one\nassert check(900) == 901") == "pass"
    kinds = "import collections\ndef add_one(x):\n    return {'a': [(1, {2}), None], 'b': collections.Counter('aab')}\n"
    assert outcome(kinds, "assert add_one(0)['b']['a'] == 2") == "pass"
    threads = "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\n"
    assert outcome(threads + RIGHT) == "pass"
    helper = "def helper(x):\n    return x\n" + RIGHT
    assert outcome(helper, "assert add_one(helper(1)) == 2") == "pass"
    assert outcome("def add_one(x):\n    yield x + 1\n", "assert list(add_one(1)) == [2]") == "pass"


@pytest.mark.parametrize(
    "program",
    [
        "class Yes(int):\n    def __eq__(self, other):\n        return True\ndef add_one(x):\n    return Yes()\n",
        "class Yes:\n    __module__ = 'collections'\n    __eq__ = lambda *_: True\ndef add_one(x):\n    return Yes()\n",
        "class Yes:\n    def __call__(self): pass\n    __eq__ = lambda *_: True\ndef add_one(x):\n    return Yes()\n",
        "from unittest.mock import ANY\ndef add_one(x):\n    return ANY\n",
        "import sys\ndef add_one(x):\n    sys.exit(0)\n",
        "import atexit, os\natexit.register(os._exit, 0)\n" + WRONG,
        "import builtins\nbuiltins.exec = lambda *_: None\n" + WRONG,
        "import os\nfor fd in range(3, 999):\n    try:\n        os.write(fd, b'pass ' + bytes(16))\n    except OSError:\n        pass\n"
        "os._exit(0)\n",
    ],
)
def test_what_only_looks_right_fails(program):
    assert outcome(program) == "fail"


@pytest.mark.parametrize(
    "program",
    [
        "import builtins\nbuiltins.abs = lambda x: 0\ndef add_one(x):\n    return 0.0\n",
        "def add_one(x):\n    import builtins\n    builtins.abs = lambda x: 0\n    return 0.0\n",
        "import math\nmath.isclose = lambda *_: True\ndef add_one(x):\n    return 0.0\n",
    ],
)
def test_functions_of_the_tests_are_python_s_own(program):
    assert outcome(program, "import math\nassert abs(add_one(1) - 2) < 1\nassert math.isclose(add_one(1), 2)") == "fail"


def test_a_trace_set_during_a_call_skips_nothing():
    program = (
        "import sys\ndef jump(frame, event, arg):\n    if event == 'line':\n        frame.f_lineno += 1\n    return jump\n"
        "def add_one(x):\n    frame = sys._getframe()\n    while frame:\n        frame.f_trace = jump\n"
        "        frame = frame.f_back\n    sys.settrace(jump)\n    return x + 1 if x == 1 else 0\n"
    )
    assert outcome(program) == "fail"


def test_time_and_memory_are_limited():
    start = time.monotonic()
    assert outcome("def add_one(x):\n    while True:\n        pass\n", seconds=0.7) == "timeout"
    assert outcome("import time\ntime.sleep(60)\n" + RIGHT, seconds=0.7) == "timeout"
    assert time.monotonic() - start < 6
    held = "held = bytearray(100 << 20)\n" + RIGHT
    assert outcome(held) == "pass"
    assert run_program(held, TESTS, "add_one", memory_bytes=256 << 20) == "fail"
    assert outcome("import sys\nsys.setrecursionlimit(10 ** 9)\ndef add_one(x):\n    return add_one(x)\n") == "fail"
    deep = "import sys\nsys.setrecursionlimit(10 ** 6)\ndef add_one(x):\n    return x and add_one(x - 1) + 1\n"
    assert outcome(deep, "assert add_one(50_000) == 50_000") == "pass"


def test_any_thread_may_ask():
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(outcome(RIGHT))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["pass"] * 3


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(os.listdir("/proc/self/fd"))
    assert outcome("open('here', 'w')\n" + RIGHT) == "fail"
    assert outcome(RIGHT) == "pass"
    assert not list(tmp_path.iterdir())
    assert set(os.listdir("/proc/self/fd")) == before


def test_where_code_cannot_be_confined_it_is_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr(confinement, "unsupported", lambda: "this is a Macintosh")
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(LiftError, match="so it was not run: this is a Macintosh"):
        outcome(RIGHT)


@pytest.mark.parametrize(
    ("child", "complaint"),
    [("os.write(fd, b'refused no filter')", "not run: no filter"), ("pass", "before its limits were set.*status 7")],
)
def test_a_child_that_cannot_confine_itself_is_an_error(monkeypatch, tmp_path, child, complaint):
    (tmp_path / "child.py").write_text(
        f"import os, sys\nfd = int(sys.argv[1])\nsys.stdin.read()\n{child}\nos._exit(7)\n"
    )
    monkeypatch.setattr(confinement, "CHILD", tmp_path / "child.py")
    with pytest.raises(LiftError, match=complaint):
        outcome(RIGHT)


def test_a_kernel_without_landlock_is_named(monkeypatch, tmp_path, caplog):
    folder = Path(confinement.CHILD).parent
    for name in ("child.py", "seccomp.py"):
        (tmp_path / name).write_text((folder / name).read_text())
    (tmp_path / "landlock.py").write_text("def restrict_files():\n    return 0\n")
    monkeypatch.setattr(confinement, "CHILD", tmp_path / "child.py")
    with caplog.at_level(logging.WARNING, logger="lift"):
        assert outcome(RIGHT) == "pass"
    assert "it can read yours" in caplog.text


def hostile() -> list[dict[str, object]]:
    path = Path(__file__).resolve().parents[3].parent / "shared/verdicts/hostile/programs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.mark.parametrize("case", hostile(), ids=lambda case: case["name"])
def test_hostile_programs_end_as_they_must(case, tmp_path, monkeypatch):
    canary, mark = tmp_path / "canary", tmp_path / "mark"
    canary.write_text("private")
    monkeypatch.setenv("HOSTILE_CANARY_VARIABLE", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        text = case["program"].replace("{MARK}", str(mark)).replace("{CANARY}", str(canary))
        text = text.replace("{PORT}", str(server.getsockname()[1]))
        start = time.monotonic()
        # What must time out need not take long; all else has the time that the list allows.
        seconds = 0.7 if case["outcome"] == ["timeout"] else 8.0
        assert run_program(text, case["tests"], case["entry"], seconds) in case["outcome"]
        assert time.monotonic() - start < (case["within_s"] or 12)
        if "no_connection" in case["after"]:
            with pytest.raises(TimeoutError):
                server.accept()
    assert canary.read_text() == "private" and not mark.exists()
    if "no_process" in case["after"]:
        assert not children_of(os.getpid())


def children_of(pid: int) -> list[str]:
    lines = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return [line for line in lines if line.rpartition(")")[2].split()[1] == str(pid) and "python" in line]


def test_the_interpreter_in_use_runs_the_child():
    version = f"import sys\nassert sys.version_info[:2] == {sys.version_info[:2]}\n"
    assert outcome(version + RIGHT) == "pass"

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.study import __main__ as command
from benchmarks.study.comparisons import runs_of
from benchmarks.study.results import read_lines

ROOT = Path(__file__).resolve().parents[3]


def workers_of(parent: int) -> list[int]:
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in found.splitlines()]
    return [int(pid) for pid, ppid, args in rows if int(ppid) == parent and "spawn_main" in args]


@pytest.mark.slow
def test_a_killed_study_leaves_no_worker_and_two_workers_find_what_one_finds(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    command.main(["--quick", "--workers", "1", "--output", str(one)])
    study = subprocess.Popen([sys.executable, "-m", "benchmarks.study", "--quick", "--output", str(two)], cwd=ROOT)
    while not runs_of(read_lines(two)):
        assert study.poll() is None
        time.sleep(0.2)
    workers = workers_of(study.pid)
    study.kill()
    study.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert workers
    command.main(["--quick", "--output", str(two)])
    assert runs_of(read_lines(two)) == runs_of(read_lines(one))

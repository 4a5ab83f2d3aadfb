from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.study import __main__ as command
from benchmarks.study.comparisons import runs_of
from benchmarks.study.results import read_lines

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_killed_study_leaves_no_worker_and_two_workers_find_what_one_finds(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    command.main(["--quick", "--workers", "1", "--output", str(one)])
    study = subprocess.Popen([sys.executable, "-m", "benchmarks.study", "--quick", "--output", str(two)], cwd=ROOT)
    while not runs_of(read_lines(two)):
        assert study.poll() is None
        time.sleep(0.2)
    workers = psutil.Process(study.pid).children()
    study.kill()
    study.wait()
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    command.main(["--quick", "--output", str(two)])
    assert runs_of(read_lines(two)) == runs_of(read_lines(one))

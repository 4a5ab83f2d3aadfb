from __future__ import annotations

import json

import pytest

from benchmarks.study import __main__ as command
from benchmarks.study import rerun
from benchmarks.study.plan import Job
from benchmarks.study.results import read_lines, results_path
from lift.errors import LiftError


def test_a_study_that_was_killed_goes_on_and_ends_as_it_would_have(tmp_path, capsys):
    quick = ["--quick", "--workers", "1", "--output", str(tmp_path)]
    command.main(quick)
    whole = read_lines(tmp_path)
    found = {json.dumps(line["job"]): line["found"] for line in whole if "job" in line}
    assert len(found) == 1 + 2 + 2 * 2
    assert (tmp_path / "report.md").read_text().startswith("# Where LIFT helps")

    rerun.main([str(tmp_path), "--quick"])  # the first two runs, equal to the bit
    assert "2 runs again" in capsys.readouterr().out

    # A kill while the third run was written, and before the second half-way model was kept.
    lines = results_path(tmp_path).read_bytes().splitlines(keepends=True)
    results_path(tmp_path).write_bytes(b"".join(lines[:6]) + lines[6][:30])
    (tmp_path / "models" / "sort6-1.safetensors").unlink()
    command.main(quick)
    after = [line for line in read_lines(tmp_path) if "job" in line]
    assert {json.dumps(line["job"]): line["found"] for line in after} == found
    assert len(after) == len(found)
    assert capsys.readouterr().out.count("run, sort6") == 2  # no more than were missing


def test_a_machine_that_makes_another_model_says_so(tmp_path):
    job = {"kind": "base", "setting": "", "start": 0, "seed": 0, "method": ""}
    with pytest.raises(LiftError, match="choose another --output"):
        command._keep(
            {"job": job, "found": {"weights": "here"}}, {Job(**job): {"found": {"weights": "there"}}}, tmp_path
        )
    assert not results_path(tmp_path).exists()

from __future__ import annotations

import json

import pytest

from benchmarks.study import __main__ as command
from benchmarks.study import rerun
from benchmarks.study.domains import DOMAINS
from benchmarks.study.results import read_lines, results_path
from benchmarks.study.sapiens.domain import FULL, SAPIENS
from lift.errors import LiftError


def test_every_method_has_twelve_seeds_from_the_one_pretrained_model():
    runs = [*FULL.runs()]
    assert len(set(runs)) == len(runs) == 6 * 12
    assert {(job.setting, job.start) for job in runs} == {("mouse", 0)}
    assert {job.seed for job in runs} == set(range(12))
    assert not [*FULL.starts()]


def test_the_primary_is_decoded_at_as_many_steps_as_a_chain_has_tokens_left():
    assert DOMAINS["sapiens"] is SAPIENS
    assert SAPIENS.decoding_steps(FULL.settings["mouse"]) == {"residues@4": 4, "residues@16": 16, "residues": 89}


def test_without_the_packages_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.study.sapiens.packages.find_spec", lambda _: None)
    with pytest.raises(LiftError, match="pip install --no-deps"):
        command.main(["--domain", "sapiens", "--quick", "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("packages")
def test_a_quick_study_runs_through_and_goes_on_where_it_was(tmp_path, capsys):
    out = tmp_path / "out"
    quick = ["--domain", "sapiens", "--quick", "--workers", "1", "--output", str(out)]
    command.main(quick)
    found = {json.dumps(line["job"]): line["found"] for line in read_lines(out) if "job" in line}
    assert len(found) == 1 + 2
    text = (out / "report.md").read_text()
    assert text.startswith("# Where LIFT helps, on Sapiens") and "\n## The pretrained model\n" in text
    assert {path.name for path in out.glob("*.png")} == {
        "differences.png", "residues-by-steps.png", "nll-against-residues.png",
    }  # fmt: skip
    assert all((out / name).exists() and f"]({name})" in text for name in ("differences.png", "residues-by-steps.png"))

    # A kill while the last run was written.
    lines = results_path(out).read_bytes().splitlines(keepends=True)
    results_path(out).write_bytes(b"".join(lines[:-1]) + lines[-1][:30])
    capsys.readouterr()
    command.main(quick)
    assert capsys.readouterr().out.count("run, mouse") == 1
    assert {json.dumps(line["job"]): line["found"] for line in read_lines(out) if "job" in line} == found

    rerun.main([str(out), "--domain", "sapiens", "--quick", "--number", "1"])
    assert "equal to the bit" in capsys.readouterr().out

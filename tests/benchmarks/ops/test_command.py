from __future__ import annotations

import json

import pytest

from benchmarks.ops import __main__ as command
from benchmarks.ops.cases import cases_of
from benchmarks.ops.own_providers import LiftKernels


def smoke(folder, *more: str) -> tuple[int, dict]:
    status = command.main(["--smoke", "--rounds", "2", "--output", str(folder), *more])
    (path,) = folder.iterdir()
    return status, json.loads(path.read_text())


def test_every_tiny_case_is_measured_and_recorded(tmp_path, capsys):
    status, record = smoke(tmp_path)
    assert status == 0 and record["command"].startswith("python -m benchmarks.ops --smoke --rounds 2")
    assert {"date", "commit", "torch", "processor", "threads"} <= set(record)
    assert [case["case"] for case in record["cases"]] == list(cases_of("smoke"))
    for case in record["cases"]:
        for row in case["providers"]:
            assert row.get("rounds") == 2 or row["missing"], row
    out = capsys.readouterr().out
    assert "smoke-frozen: N=8 D=16 V=40 bfloat16, 0% ignored" in out and "needs a GPU" in out
    assert "loss off by" in out and "1.00 x products" in out


def test_a_wrong_op_is_not_timed_and_fails_the_command(tmp_path, monkeypatch, capsys):
    real = LiftKernels.call
    monkeypatch.setattr(
        LiftKernels, "call", lambda self, op, case, inputs, *more, **options: real(
            self, op, case, (inputs[0], inputs[1].flip(0), inputs[2]), *more, **options
        ),
    )  # fmt: skip
    status, record = smoke(tmp_path)
    assert status == 1 and "WRONG: smoke-frozen, lift_kernels: " in capsys.readouterr().out
    rows = {row["provider"]: row for row in record["cases"][0]["providers"]}
    assert "median_ms" not in rows["lift_kernels"] and "median_ms" in rows["logits in float32"]


def test_an_unknown_case_is_an_error():
    with pytest.raises(SystemExit):
        command.main(["--case", "no such case"])

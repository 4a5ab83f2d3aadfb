"""The whole GPU run at tiny shapes, so that no name and no path of it goes stale where there is no GPU."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu.checks import op_calls
from benchmarks.gpu.measurements.catalogue import SECTIONS
from tests.benchmarks.gpu.reports import all_green, checked
from tests.benchmarks.support import ON_GPU

ROOT = Path(__file__).resolve().parents[3]


def smoke(folder: Path, *sections: str) -> tuple[int, dict]:
    chosen = [word for section in sections for word in ("--section", section)]
    status = command.main(["--smoke", "--backend", "torch", "--output", str(folder), *chosen])
    (path,) = folder.glob("*.json")
    return status, json.loads(path.read_text())


def test_everything_runs_and_is_recorded(tmp_path, capsys):
    status, record = smoke(tmp_path)
    assert status == 0
    assert {"command", "date", "commit", "device", "driver", "torch", "triton", "cuda", "sections"} <= set(record)
    for check in record["checks"]:
        assert check["status"] == "passed" or check["sentence"] == "needs a CUDA device"
    assert set(record["gates"].values()) == {"green"}
    assert {found["section"] for found in record["measurements"]} == set(SECTIONS) - {"right", "repeats", "accuracy"}
    for found in record["measurements"]:
        assert "error" not in found and "wrong" not in found
        for label, row in found["times"].items():
            assert row["median_ms"] > 0, (found["name"], label, row)
            assert row.get("gate", "green") in ("green", "unchecked")
            assert row.get("loss error nats", 0) < (1e-6 if label in found["own"] else 0.1)
            assert max(row.get("dX error", 0), row.get("dW error", 0)) < 4e-3
    assert not record["crashes"] and not record["dropped"]
    (path,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["measurement"]["name"] for line in lines if "measurement" in line] == [
        found["name"] for found in record["measurements"]
    ]
    assert "whole steps" in capsys.readouterr().out


def test_a_speed_of_a_wrong_op_is_marked_and_reported(tmp_path, monkeypatch, capsys):
    real = op_calls.linear_cross_entropy
    # As a kernel that loses the last column of the vocabulary.
    monkeypatch.setattr(
        op_calls, "linear_cross_entropy",
        lambda h, w, t, bias=None, **o: real(h, w[:-1], t.clamp(max=len(w) - 2), **o),
    )  # fmt: skip
    status, record = smoke(tmp_path, "right", "steps")
    assert status == 1
    assert record["gates"]["linear_cross_entropy, default"] == "red"
    assert record["gates"]["linear_token_stats, default"] == "green"
    for found in record["measurements"]:
        assert found["times"]["ours"]["median_ms"] > 0 and found["times"]["ours"]["gate"] == "red"
        assert "gate" not in found["times"]["bound"]
    output = capsys.readouterr().out
    assert "right losses_and_gradients bfloat16 5x16x40 plain default: FAILED" in output and "ours [" in output


def test_what_does_not_fit_the_budget_is_skipped_and_named(tmp_path, capsys):
    status = command.main(["--smoke", "--backend", "torch", "--output", str(tmp_path), "--budget", "0"])
    assert status == 1  # nothing was checked
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert not record["measurements"] and len(record["dropped"]) > 50
    assert "SKIPPED for lack of time: right 12 of 12, repeats 4 of 4, products 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["interrupted", "ValueError: broken"])
def test_a_run_that_breaks_off_writes_what_it_has(tmp_path, monkeypatch, capsys, how):
    def run_here(jobs, sink, run_job):
        sink.record(jobs[0], "right: c", checked())
        if how != "interrupted":
            raise ValueError("broken")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(command.supervisor, "run_here", run_here)
    before = signal.getsignal(signal.SIGTERM)
    status, record = smoke(tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before
    assert status == 1 and record["broke_off"]["sentence"] == how and len(record["checks"]) == 1
    assert f"BROKE OFF: {how}" in capsys.readouterr().out


def test_on_a_gpu_jobs_run_in_processes_within_the_budget(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(command.RunConfig, "here", lambda **_: ON_GPU)
    facts = {"device": "NVIDIA H100 80GB HBM3", "driver": "1", "torch": "2", "triton": "3"}
    monkeypatch.setattr(command, "device_environment", lambda *_: facts)

    def run_in_processes(jobs, report, command, **options):
        jobs = list(jobs)
        calls.append((jobs, options))
        if not report.checks:
            all_green(report)

    monkeypatch.setattr(command.supervisor, "run_in_processes", run_in_processes)
    start = time.time()
    status = command.main(["--budget", "200", "--output", str(tmp_path), "--workers", "3"])
    assert status == 0 and sorted(path.name[11:] for path in tmp_path.iterdir()) == [
        "h100-80gb-hbm3-linear-cross-entropy.json",
        "h100-80gb-hbm3-linear-cross-entropy.jsonl",
    ]
    stages = [jobs[0].section for jobs, _ in calls]
    assert stages == ["right or wrong", "first numbers", "rivals", "matrix", "rest"]
    assert [options["num_workers"] for _, options in calls] == [3, 1, 1, 3, 1]
    for jobs, options in calls:
        assert all(job.deadline < options["stop_at"] < start + 200 and job.backend == "triton" for job in jobs)
    assert calls[3][1]["stop_at"] < calls[4][1]["stop_at"]  # the matrix leaves time for the rest


def test_a_folder_that_cannot_be_written_to_is_known_at_once(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert command.main(["--smoke", "--backend", "torch", "--output", str(tmp_path / "file")]) == 2
    assert "benchmarks.gpu: " in capsys.readouterr().err


def test_it_needs_neither_einops_nor_pytest_nor_the_trainer_stack():
    code = (
        "import sys\n"
        "for name in ('einops', 'pytest', 'transformers', 'pytest_benchmark'): sys.modules[name] = None\n"
        "import benchmarks.gpu.__main__, benchmarks.gpu.worker, lift_kernels\n"
        "assert 'triton' not in sys.modules\n"
        "assert sys.modules.get('einops') is None"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    assert command.main([]) == 2
    assert "no CUDA device was found; --smoke" in capsys.readouterr().err

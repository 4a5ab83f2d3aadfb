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
from benchmarks.gpu import worker
from benchmarks.gpu.checks import op_calls
from benchmarks.ops.cases import cases_of
from tests.benchmarks.gpu.reports import all_green, checked
from tests.benchmarks.support import GREEN, ON_GPU, SMOKE

ROOT = Path(__file__).resolve().parents[3]


def smoke(folder: Path) -> tuple[int, dict]:
    status = command.main(["--smoke", "--backend", "torch", "--output", str(folder)])
    (path,) = folder.iterdir()
    return status, json.loads(path.read_text())


def task_names(job: str) -> tuple[str, ...]:
    names = worker.task_names(SMOKE)
    return (names["accuracy"] | names["timing"])[job]


def test_everything_runs_and_is_recorded(tmp_path, capsys):
    status, record = smoke(tmp_path)
    assert status == 0
    assert {"command", "date", "commit", "device", "driver", "torch", "triton", "cuda", "workspace"} <= set(record)
    assert {check["status"] for check in record["accuracy"]} == {"passed", "skipped"}
    for check in record["accuracy"]:
        assert check["status"] == "passed" or check["sentence"] == "needs a CUDA device"
    assert {gate for paths in record["gates"].values() for gate in paths.values()} == {"green"}
    assert [case["case"] for case in record["timing"]] == list(cases_of("smoke"))
    for case in record["timing"]:
        rows = {row["provider"]: row for row in case["providers"]}
        for name, row in rows.items():
            assert row.get("median_ms", 0) > 0 or row["missing"], name
            assert row.get("loss_error_nats", 0) < 0.1 and row.get("argmax_agreement", 1) > 0.7, name
            assert max(row.get("gradient_error", {"none": 0}).values()) < 0.02, name
        for name in ("bare matrix products", "lift_kernels", "lift_kernels, 32 MiB", "lift_kernels, torch backend"):
            assert rows[name]["rounds"] >= 5 and rows[name]["percent_of_bound"] > 0
        assert rows["lift_kernels"]["loss_error_nats"] < 1e-4
        assert "logits in float32, targets only" in rows or case["N"] == case["targets"]
    assert not record["crashes"] and not record["dropped"]
    table = capsys.readouterr().out.splitlines()[-1 - len(record["timing"]) : -1]
    assert [line.split()[0] for line in table] == [case["case"] for case in record["timing"]]


def test_no_speed_of_a_wrong_op_is_reported(tmp_path, monkeypatch, capsys):
    real = op_calls.linear_cross_entropy
    # As a kernel that loses the last column of the vocabulary.
    monkeypatch.setattr(
        op_calls, "linear_cross_entropy",
        lambda h, w, t, bias=None, **o: real(h, w[:-1], t.clamp(max=38), bias=None if bias is None else bias[:-1], **o),
    )  # fmt: skip
    few = {
        "accuracy": {"values-bfloat16": task_names("values-bfloat16")},
        "timing": {"timing": task_names("timing")[:3]},
    }
    monkeypatch.setattr(command, "task_names", lambda config: few)
    status, record = smoke(tmp_path)
    assert status == 1
    assert record["gates"]["linear_cross_entropy"] == {"default": "red", "minimal": "red"}
    assert record["gates"]["linear_token_stats"] == GREEN
    for case in record["timing"]:
        rows = {row["provider"]: row for row in case["providers"]}
        for name in ("lift_kernels", "lift_kernels, 32 MiB"):
            assert ("median_ms" in rows[name]) == (case["kind"] == "stats")
            assert case["kind"] == "stats" or rows[name]["withheld"] == "its accuracy gate is not green"
        assert "median_ms" in rows["bare matrix products"]
    assert "FAILED losses_and_gradients" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["interrupted", "ValueError: broken"])
def test_a_run_that_breaks_off_writes_what_it_has(tmp_path, monkeypatch, capsys, how):
    def run_here(jobs, sink, run_job):
        sink.record(jobs[0], "c", checked())
        if how != "interrupted":
            raise ValueError("broken")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(command.supervisor, "run_here", run_here)
    before = signal.getsignal(signal.SIGTERM)
    status = command.main(["--smoke", "--backend", "torch", "--output", str(tmp_path)])
    assert signal.getsignal(signal.SIGTERM) is before
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert status == 1 and record["broke_off"]["sentence"] == how and len(record["accuracy"]) == 1
    assert f"BROKE OFF: {how}" in capsys.readouterr().out


def test_on_a_gpu_jobs_run_in_processes_within_the_budget(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(command.RunConfig, "here", lambda **_: ON_GPU)
    facts = {"device": "NVIDIA H100 80GB HBM3", "driver": "1", "torch": "2", "triton": "3"}
    monkeypatch.setattr(command, "device_environment", lambda *_: facts)

    def run_in_processes(jobs, report, command, **options):
        jobs = list(jobs)
        calls.append((jobs, options))
        if jobs[0].section == "accuracy":
            all_green(report)

    monkeypatch.setattr(command.supervisor, "run_in_processes", run_in_processes)
    start = time.time()
    status = command.main(["--budget", "200", "--output", str(tmp_path), "--workers", "3"])
    assert status == 0 and [path.name[11:] for path in tmp_path.iterdir()] == [
        "h100-80gb-hbm3-linear-cross-entropy.json"
    ]
    (accuracy, accuracy_options), (timing, timing_options) = calls
    assert accuracy_options["num_workers"] == 3 and timing_options["num_workers"] == 1
    assert accuracy_options["stop_at"] < timing_options["stop_at"] < start + 200
    assert all(job.deadline < accuracy_options["stop_at"] for job in accuracy)
    assert timing[0].gates["linear_cross_entropy"] == {"default": "green", "minimal": "green"}
    assert timing[0].deadline < timing_options["stop_at"] and timing[0].backend == "triton"


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

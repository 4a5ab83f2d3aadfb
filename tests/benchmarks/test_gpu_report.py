from __future__ import annotations

import json
import signal
import time

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import checks, environment
from benchmarks.gpu.report import Report
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.worker import Order

ACCURACY = Order("accuracy", "values", ("c",), 0.0, "torch")
TIMING = Order("timing", "timing", ("case",), 0.0, "torch")


@pytest.fixture
def report(tmp_path):
    check = checks.Check("c", checks.CROSS_ENTROPY, run=None, path="minimal", dtype="bfloat16")
    return Report(tmp_path / "folder" / "2026-01-01-h100.json", {"device": "H100"}, {"c": check})


def checked(status="passed", op=checks.CROSS_ENTROPY, path="default", **more):
    return {"check": "c", "op": op, "path": path, "dtype": None, "gates": True, "status": status, **more}


def all_green(report):
    for op in (checks.CROSS_ENTROPY, checks.STATISTICS):
        for path in checks.PATHS:
            report.record(ACCURACY, "c", checked(op=op, path=path))


def case(*rows, name="llada-8b-4096-frozen"):
    return {"case": name, "providers": list(rows)}


def saved(report):
    return json.loads(report.path.read_text())


def test_what_comes_in_is_on_disk_soon(report, monkeypatch):
    report.tick()
    assert saved(report)["accuracy"] == [] and saved(report)["device"] == "H100"
    report.record(ACCURACY, "c", checked(numbers={"nats": float("nan"), "list": [float("inf"), 1.5]}))
    report.tick()
    assert saved(report)["accuracy"] == []  # written less than a second ago
    monkeypatch.setattr("benchmarks.gpu.report._SAVE_SECONDS", 0.0)
    report.tick()
    (record,) = saved(report)["accuracy"]
    assert record["job"] == "values" and record["numbers"] == {"nats": "nan", "list": ["inf", 1.5]}
    assert [path.name for path in report.path.parent.iterdir()] == [report.path.name]


def test_a_crashed_check_is_an_error_and_turns_its_gate_red(report, capsys):
    all_green(report)
    assert not report.complaints()
    report.crashed(ACCURACY, "c", None, {"sentence": "illegal memory access", "traceback": "at"})
    assert report.gates()["linear_cross_entropy"] == {"default": "green", "minimal": "red"}
    assert report.complaints() == ["c: crashed: illegal memory access"]
    assert "CRASH in values (c): illegal memory access" in capsys.readouterr().out
    report.crashed(ACCURACY, None, None, {"sentence": "no driver", "traceback": ""})
    assert report.complaints()[1:] == ["the job values crashed: no driver"]


def test_wrong_checks_missing_checks_and_errors_of_ours_are_complaints(report):
    report.record(ACCURACY, "c", checked("failed", sentence="off by 1 nats"))
    assert report.complaints()[0] == "c: off by 1 nats"
    assert "linear_token_stats default: no check ran" in report.complaints()

    report.accuracy.clear()
    all_green(report)
    fine = {"provider": "lift_kernels", "median_ms": 1.0}
    withheld = {"provider": "lift_kernels, 32 MiB", "withheld": "its accuracy gate is not green"}
    report.record(TIMING, "case", case(fine, withheld, {"provider": "quack", "error": "ModuleNotFoundError: quack"}))
    assert not report.complaints()
    report.record(TIMING, "case", case({"provider": "lift_kernels", "error": "OutOfMemoryError: 9 GiB"}))
    report.record(TIMING, "case", case({"provider": "lift_kernels, torch backend", "wrong": "log_prob: off"}))
    assert [complaint.partition(": ")[2] for complaint in report.complaints()] == [
        "OutOfMemoryError: 9 GiB",
        "log_prob: off",
    ]


def test_the_table_shows_the_bound_ours_and_the_best_of_the_others(report, capsys):
    all_green(report)
    rows = (
        {"provider": "bare matrix products", "median_ms": 10.0, "percent_of_bound": 100.0},
        {"provider": "lift_kernels", "median_ms": 12.5, "percent_of_bound": 80.0, "peak_mib": 1100.4},
        {"provider": "lift_kernels, 32 MiB", "median_ms": 20.0},
        {"provider": "lift_kernels, torch backend", "median_ms": 11.0},
        {"provider": "logits in float32", "median_ms": 15.0},
        {"provider": "logits in float32, torch.compile", "median_ms": 14.0},
        {"provider": "quack", "error": "ModuleNotFoundError"},
    )
    report.record(TIMING, "case", case(*rows))
    report.record(TIMING, "case", case({"provider": "lift_kernels", "error": "boom"}, name="dream-7b-256-stats"))
    report.dropped(TIMING, "other")
    capsys.readouterr()
    report.print_table()
    header, first, second, wrong = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["case", "bound", "ms"]
    assert first.split(maxsplit=7) == [
        "llada-8b-4096-frozen", "10.00", "12.50", "80", "%", "1100", "20.00", "logits in float32, torch.compile 14.00",
    ]  # fmt: skip
    assert second.split() == ["dream-7b-256-stats", "-", "-", "-", "-", "-", "-"]
    assert wrong == "WRONG: dream-7b-256-stats, lift_kernels: boom"
    report.save()
    assert saved(report)["dropped"] == [{"section": "timing", "task": "other"}]


def test_the_accuracy_summary_counts_and_names_memory(report, capsys):
    report.record(ACCURACY, "c", checked(numbers={"nats": 2e-6}))
    report.record(ACCURACY, "c", checked("skipped", sentence="needs a CUDA device"))
    report.record(ACCURACY, "c", checked(numbers={"beyond_gradients_mib": 41.0}))
    capsys.readouterr()
    report.print_accuracy()
    job, memory, gates = capsys.readouterr().out.splitlines()
    assert job.split(maxsplit=1) == ["values", "2 passed, 1 skipped; at most 2.0e-06 nats off"]
    assert "41 MiB beyond" in memory and "linear_cross_entropy default green" in gates


@pytest.mark.parametrize("how", ["interrupted", "ValueError: broken"])
def test_a_run_that_breaks_off_writes_what_it_has(tmp_path, monkeypatch, capsys, how):
    def run_here(orders, book):
        book.record(orders[0], "c", checked())
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
    gpu = Setting(torch.device("cuda"), "triton")
    monkeypatch.setattr(command.Setting, "here", lambda **_: gpu)
    facts = {"device": "NVIDIA H100 80GB HBM3", "driver": "1", "torch": "2", "triton": "3"}
    monkeypatch.setattr(command, "environment", lambda *_: facts)

    def run_in_processes(orders, report, **options):
        orders = list(orders)
        calls.append((orders, options))
        if orders[0].section == "accuracy":
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
    assert all(order.deadline < accuracy_options["stop_at"] for order in accuracy)
    assert timing[0].gates["linear_cross_entropy"] == {"default": "green", "minimal": "green"}
    assert timing[0].deadline < timing_options["stop_at"] and timing[0].backend == "triton"


@pytest.mark.parametrize("outcome", ["missing", "failing", "garbled", "present"])
def test_facts_of_the_card_are_optional(monkeypatch, outcome):
    class Result:
        returncode = 9 if outcome == "failing" else 0
        stdout = "580.159.04, 1980 MHz\n" if outcome != "garbled" else "Failed to initialize NVML\n"

    def run(command, **_):
        if outcome == "missing":
            raise FileNotFoundError("nvidia-smi")
        assert "--query-gpu=driver_version,clocks.sm" in command
        return Result()

    monkeypatch.setattr(environment.subprocess, "run", run)
    driver, clock = ("580.159.04", "1980 MHz") if outcome == "present" else (None, None)
    assert environment.query("driver_version", "clocks.sm") == {"driver_version": driver, "clocks.sm": clock}


def test_the_environment_without_git_names_the_commit_it_is_told(monkeypatch):
    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr("benchmarks.run.subprocess.run", no_git)
    facts = environment.environment(Setting(torch.device("cpu"), "torch"), "abc")
    assert facts["commit"] == "abc" and facts["device"] == "cpu"
    assert environment.environment(Setting(torch.device("cpu"), "torch"), None)["commit"] is None

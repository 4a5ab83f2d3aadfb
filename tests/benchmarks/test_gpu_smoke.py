"""The whole GPU run at tiny shapes, so that no name and no path of it goes stale where there is no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import checks, comparison, providers, values, worker
from benchmarks.gpu.cases import gpu_cases
from benchmarks.gpu.setting import Setting

ROOT = Path(__file__).resolve().parents[2]
GREEN = {"default": "green", "minimal": "green"}


def smoke(folder: Path) -> tuple[int, dict]:
    status = command.main(["--smoke", "--backend", "torch", "--output", str(folder)])
    (path,) = folder.iterdir()
    return status, json.loads(path.read_text())


def task_names(job: str) -> tuple[str, ...]:
    names = worker.task_names(Setting.here(is_smoke=True, backend="torch"))
    return (names["accuracy"] | names["timing"])[job]


def test_everything_runs_and_is_recorded(tmp_path, capsys):
    status, record = smoke(tmp_path)
    assert status == 0
    assert {"command", "date", "commit", "device", "driver", "torch", "triton", "cuda", "workspace"} <= set(record)
    assert {check["status"] for check in record["accuracy"]} == {"passed", "skipped"}
    for check in record["accuracy"]:
        assert check["status"] == "passed" or check["sentence"] == "needs a CUDA device"
    assert {gate for paths in record["gates"].values() for gate in paths.values()} == {"green"}
    assert [case["case"] for case in record["timing"]] == list(gpu_cases(is_smoke=True))
    for case in record["timing"]:
        rows = {row["provider"]: row for row in case["providers"]}
        for name, row in rows.items():
            assert row.get("median_ms", 0) > 0 or row["error"], name
            assert row.get("loss_error_nats", 0) < 0.1 and row.get("argmax_agreement", 1) > 0.7, name
            assert max(row.get("gradient_error", {"none": 0}).values()) < 0.02, name
        for name in ("bare matrix products", "lift_kernels", "lift_kernels, 32 MiB", "lift_kernels, torch backend"):
            assert rows[name]["rounds"] >= 5 and rows[name]["percent_of_bound"] > 0
        assert rows["lift_kernels"]["loss_error_nats"] < 1e-4
        assert "logits in float32, targets only" in rows or case["N"] == case["targets"]
    assert not record["crashes"] and not record["dropped"]
    table = capsys.readouterr().out.splitlines()[-1 - len(record["timing"]) : -1]
    assert [line.split()[0] for line in table] == [case["case"] for case in record["timing"]]


@pytest.mark.parametrize("kind", ["frozen", "trained", "stats"])
def test_the_kernels_themselves_go_through_a_timed_case(kind):
    setting = Setting(torch.device("cpu"), "triton", is_smoke=True)
    record = comparison.Comparison(gpu_cases(is_smoke=True)[f"smoke-sequence-{kind}"], setting, GREEN).run()
    rows = {row["provider"]: row for row in record["providers"]}
    for name in ("lift_kernels", "lift_kernels, 32 MiB"):
        assert rows[name].get("rounds", 0) >= 5, rows[name]


def test_the_kernels_themselves_go_through_a_check_of_each_op():
    setting = Setting(torch.device("cpu"), "triton", is_smoke=True)
    found = {check.op: check for job in checks.jobs(setting).values() for check in job if check.path == "minimal"}
    found |= {check.op: check for job in checks.jobs(setting).values() for check in job if check.op not in found}
    found[checks.CROSS_ENTROPY] = checks.jobs(setting)["values-bfloat16"][0]
    assert len(found) == 5
    for check in found.values():
        record = checks.run_check(check, setting)
        assert record["status"] == "passed", record


def test_no_speed_of_a_wrong_op_is_reported(tmp_path, monkeypatch, capsys):
    real = values.linear_cross_entropy
    # As a kernel that loses the last column of the vocabulary.
    monkeypatch.setattr(
        values, "linear_cross_entropy",
        lambda h, w, t, bias=None, **o: real(h, w[:-1], t.clamp(max=38), bias=None if bias is None else bias[:-1], **o),
    )  # fmt: skip
    few = {
        "accuracy": {"values-bfloat16": task_names("values-bfloat16")},
        "timing": {"timing": task_names("timing")[:3]},
    }
    monkeypatch.setattr(command, "task_names", lambda setting: few)
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


def compare(kind: str, gates: dict[str, str] = GREEN, **options) -> dict[str, dict]:
    case = gpu_cases(is_smoke=True)[f"smoke-{kind}"]
    record = comparison.Comparison(case, Setting(torch.device("cpu"), "torch", is_smoke=True), gates, **options).run()
    return {row["provider"]: row for row in record["providers"]}


def test_what_was_not_checked_is_not_timed():
    rows = compare("stats", {"minimal": "green"})
    assert rows["lift_kernels"] == {"provider": "lift_kernels", "withheld": "its accuracy gate is not green"}
    assert rows["lift_kernels, 32 MiB"]["median_ms"] > 0


def test_a_provider_that_raises_stops_no_other(monkeypatch):
    def raises(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB\nand more")

    provider = providers.Provider(lambda *_: raises)
    monkeypatch.setitem(providers.PROVIDERS, "logits in float32", provider)
    seen = []
    rows = compare("frozen", skip=("quack",), announce=seen.append)
    assert rows["logits in float32"]["error"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB"
    assert "raises" in rows["logits in float32"]["traceback"]
    assert rows["lift_kernels"]["median_ms"] > 0 and "crashed before" in rows["quack"]["error"]
    assert seen[0] == "bare matrix products" and "quack" not in seen and seen[-1] == "the timed rounds"


@pytest.mark.parametrize("kind", ["frozen", "trained", "stats"])
def test_ours_must_be_right_at_the_timed_shape_itself(monkeypatch, kind):
    """The matrix may be green and the timed shape still wrong."""

    def wrong_call(self, op, case, setting, inputs, **options):
        hidden_states, weight, targets = inputs
        return op(hidden_states, weight.flip(0), targets, num_targets=case.num_targets, **options)

    monkeypatch.setattr(providers.Ours, "call", wrong_call)
    rows = compare(kind)
    for name in ("lift_kernels", "lift_kernels, 32 MiB", "lift_kernels, torch backend"):
        assert "median_ms" not in rows[name] and rows[name]["wrong"]
        assert rows[name]["loss_error_nats"] > 1e-3


def test_losses_of_each_token_count_where_the_gradients_are_right(monkeypatch):
    real = providers.Ours.call

    def off_by_a_little(self, *arguments, return_stats=False, **options):
        result = real(self, *arguments, return_stats=return_stats, **options)
        return (result[0], result[1]._replace(log_prob=result[1].log_prob + 1e-3)) if return_stats else result

    monkeypatch.setattr(providers.Ours, "call", off_by_a_little)
    assert compare("frozen")["lift_kernels"]["wrong"].startswith("log_prob: off by")


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

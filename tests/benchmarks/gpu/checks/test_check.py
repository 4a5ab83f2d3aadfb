from __future__ import annotations

from benchmarks.gpu.checks.check import Check, gate, run_check
from benchmarks.harness.check_result import CheckResult
from tests.benchmarks.support import HERE


def check(name="c", **changes):
    arguments = {"name": name, "op": "linear_cross_entropy", "run": lambda config: CheckResult()} | changes
    return Check(**arguments)


def passing(config):
    result = CheckResult()
    result.expect("it", True, "")
    result.add_numbers(nats=0.5)
    return result


def failing(config):
    result = passing(config)
    result.expect("that", False, "does not hold")
    return result


def raising(config):
    raise RuntimeError("no kernel image\nis available")


def test_records_of_checks():
    record = run_check(check(run=passing), HERE)
    assert (record["status"], record["numbers"], record["comparisons"]) == ("passed", {"nats": 0.5}, 1)
    record = run_check(check(run=failing), HERE)
    assert record["status"] == "failed"
    assert record["sentence"] == "that: does not hold (1 of 2 comparisons failed)" and record["failures"]
    record = run_check(check(run=raising), HERE)
    assert record["status"] == "error" and record["sentence"] == "RuntimeError: no kernel image"
    assert "in raising" in record["traceback"]
    assert run_check(check(), HERE)["sentence"] == "compared nothing"
    assert run_check(check(run=raising, needs_gpu=True), HERE)["status"] == "skipped"


def test_a_gate_looks_at_its_op_its_path_and_its_dtype():
    def record(status, op="a", path="default", dtype="bfloat16", gates=True):
        return {"status": status, "op": op, "path": path, "dtype": dtype, "gates": gates}

    fine = [record("passed"), record("skipped")]
    assert gate(fine, "a", "default", "bfloat16") == "green"
    assert gate(fine, "a", "minimal", "bfloat16") == gate(fine, "b", "default", "bfloat16") == "unchecked"
    others = (
        record("failed", op="b"),
        record("failed", path="minimal"),
        record("error", dtype="float16"),
        record("failed", gates=False),
    )
    for other in others:
        assert gate([*fine, other], "a", "default", "bfloat16") == "green"
    for bad in (record("failed"), record("error"), record("failed", dtype=None)):
        assert gate([*fine, bad], "a", "default", "bfloat16") == "red"
    assert gate([record("skipped")], "a", "default", "bfloat16") == "unchecked"

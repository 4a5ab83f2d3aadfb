from __future__ import annotations

from benchmarks.gpu.measurements.measurement import Measurement, Outcome, Session, run_measurement
from tests.benchmarks.support import SMOKE


def test_a_record_has_what_was_found_and_the_command():
    found = Outcome({"a": {"median_ms": 1.0}}, {"a": "gate"}, {"n": 2}, {"N": 3}, wrong="off")
    record = run_measurement(Measurement("steps", "x", lambda session: found), Session(SMOKE))
    assert record.pop("seconds") >= 0
    assert record == {
        "section": "steps", "name": "x", "command": "python3 -u -m benchmarks.gpu --section steps",
        "times": found.times, "own": found.own, "numbers": {"n": 2}, "shape": {"N": 3}, "wrong": "off",
    }  # fmt: skip


def test_what_raises_is_a_record_too():
    def run(session):
        raise ValueError("boom\nmore")

    record = run_measurement(Measurement("steps", "x", run), Session(SMOKE))
    assert record["error"] == "ValueError: boom" and "boom" in record["traceback"] and "times" not in record

from __future__ import annotations

from benchmarks.gpu.lines import check_line, measurement_lines
from tests.benchmarks.gpu.reports import checked, measured, row


def test_a_check_says_what_is_wrong_and_how_far_it_is_off():
    numbers = {"nats": 2e-6, "gradient_error": 2e-3, "plain_gradient_error": 3e-3, "beyond_gradients_mib": 41.2}
    record = {"section": "right", **checked("failed", sentence="off by 1", numbers=numbers, seconds=1.26)}
    assert check_line(record) == (
        "right c: FAILED, at most 2.0e-06 nats off, gradients 2.0e-03 (plain ones 3.0e-03), 41 MiB beyond gradients, "
        "off by 1 [1.3 s]"
    )
    assert check_line({"section": "right", **checked()}) == "right c: passed"


def test_every_time_is_a_line_and_all_other_numbers_are_one():
    times = {
        "bound": row(2.0), "ours": row(4.0, gate="red", wrong="dX", **{"% of bound": 50.0}), "trl": {"error": "boom"},
    }  # fmt: skip
    record = measured(times) | {"numbers": {"kept MiB": 988.0625, "products": {"8x16x72": 2}}}
    assert list(measurement_lines(record)) == [
        "steps N=8 frozen: bound 2.0000 ms (2.0000 .. 2.0000, 5 rounds)",
        "steps N=8 frozen: ours [4.0000 ms] (4.0000 .. 4.0000, 5 rounds), 50.0 % of bound, gate red, WRONG: dX",
        "steps N=8 frozen: trl: not timed: boom",
        "steps N=8 frozen: kept MiB 988.1; products {'8x16x72': 2}",
    ]


def test_what_raised_or_was_not_measured_says_so():
    assert list(measurement_lines({"section": "steps", "name": "a", "error": "boom"})) == ["steps a: ERROR: boom"]
    assert list(measurement_lines(measured({}, missing="no GPU"))) == ["steps N=8 frozen: not measured: no GPU"]

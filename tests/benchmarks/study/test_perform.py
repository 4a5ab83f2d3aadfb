from __future__ import annotations

from benchmarks.study.perform import perform
from benchmarks.study.plan import QUICK, Job


def test_a_line_is_what_the_maker_of_its_kind_found_with_seconds_apart(tmp_path):
    makers = {
        "base": lambda job, folder, plan: {"weights": "w", "seconds": {"training": 1.23456}},
        "run": lambda job, folder, plan: {},
    }
    line = perform(Job("base"), tmp_path, QUICK, makers)
    assert line["found"] == {"weights": "w"} and line["job"]["kind"] == "base"
    assert line["seconds"]["training"] == 1.23 and line["seconds"]["all"] >= 0

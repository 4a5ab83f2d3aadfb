from __future__ import annotations

from collections import Counter

from benchmarks.study.methods import BESIDE, METHODS
from benchmarks.study.plan import FULL, Job


def test_every_method_has_twenty_runs_in_each_setting_and_those_beside_five():
    runs = [*FULL.runs()]
    counts = Counter((job.setting, job.method) for job in runs)
    assert len(set(runs)) == len(runs) == 4 * (9 * 20 + 3 * 5)
    assert {counts[setting, method] for setting in FULL.settings for method in METHODS} == {20}
    assert {counts[setting, method] for setting in FULL.settings for method in BESIDE} == {5}


def test_runs_have_five_half_way_models_of_four_seeds_or_twenty_seeds_of_the_base():
    places = {
        setting: {(job.start, job.seed) for job in FULL.runs() if job.setting == setting} for setting in FULL.settings
    }
    assert places["fsa"] == places["depth"] == {(start, seed) for start in range(5) for seed in range(4)}
    assert places["sort6_short"] == {(0, seed) for seed in range(20)}
    assert Counter(job.setting for job in FULL.starts()) == {"fsa": 5, "depth": 5, "sort6": 5}


def test_a_line_names_its_job():
    job = Job("run", "fsa", 2, 3, "lift3")
    line = {"job": {"kind": "run", "setting": "fsa", "start": 2, "seed": 3, "method": "lift3"}, "found": {}}
    assert Job.of_line(line) == job

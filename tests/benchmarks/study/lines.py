"""Lines of results that no run made."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.study.plan import FULL, Job


def made_lines(gains: dict[tuple[str, str], float], outcome: str = "answers") -> list[dict]:
    """All lines of the full study; `outcome` is `gains` higher for a setting and method, a little more or less by run."""
    lines = [
        {
            "job": asdict(job),
            "found": {"rounds": 4, "calibration": 0.12, "answers": 0.3, "responses": 0.11},
            "seconds": {"all": 1.0},
        }
        for job in FULL.starts()
    ]
    for job in FULL.runs():
        found = dict.fromkeys(("answers", "answers@8", "answers@4", "responses", "kept", "nll"), 0.4)
        found |= {"nll_by_rate": [0.1, 0.2, 0.3, 0.4, 0.5]}
        if job.method != "sft":
            found[outcome] += gains.get((job.setting, job.method), 0.0) + 0.002 * ((job.start + job.seed) % 5 - 2)
        lines.append({"job": asdict(job), "found": found, "seconds": {"all": 1.0}})
    return lines


def job_of(setting: str, method: str, start: int, seed: int) -> Job:
    return Job("run", setting, start, seed, method)

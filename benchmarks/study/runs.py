"""A run: fine-tune from a start by one method with one seed, and judge what became of it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.study.judging import RowsToJudge
from benchmarks.study.methods import BESIDE, METHODS
from benchmarks.study.model import load_model, train
from benchmarks.study.plan import Job, Plan
from benchmarks.study.starts import base_skill, held_out_rows, make_base, make_halfway, start_path
from benchmarks.study.streams import seed_of, stream
from benchmarks.study.tasks import TASKS, draw_rows
from lift.evaluation.weights_digest import weights_digest

_FEW_STEPS = (8, 4)


def perform(job: Job, folder: Path, plan: Plan) -> dict[str, Any]:
    """Return the line of a job: all but its seconds follows from job and plan, to the bit, on one kind of machine."""
    torch.set_num_threads(1)  # another number adds in another order
    began = time.perf_counter()
    make = {"base": make_base, "half-way": make_halfway, "run": make_run}[job.kind]
    found = make(job, folder, plan)
    seconds = {"all": time.perf_counter() - began} | found.pop("seconds", {})
    return {"job": asdict(job), "found": found, "seconds": {name: round(value, 2) for name, value in seconds.items()}}


def make_run(job: Job, folder: Path, plan: Plan) -> dict[str, Any]:
    """Fine-tune and judge; shares are in [0, 1], losses in nats."""
    setting, method = plan.settings[job.setting], (METHODS | BESIDE)[job.method]
    test = held_out_rows(job, plan)
    names = (job.setting, job.start, job.seed)  # not the method: all methods see the same rows, times and order
    rows = draw_rows(TASKS[setting.task], plan.train_rows, stream("train", *names), exclude=set(test))
    model = load_model(start_path(folder, job, plan))
    began = time.perf_counter()
    train(
        model, rows, steps=round(setting.steps * method.step_factor), seed=seed_of("noise", *names),
        learning_rate=setting.learning_rate, lr_scheduler_type="linear", trainer=method.trainer, **method.options,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    judged, skill = RowsToJudge(test), base_skill(model, plan)
    nll = judged.nll(model)
    found: dict[str, Any] = judged.written(model)
    for steps in _FEW_STEPS:
        found[f"answers@{steps}"] = judged.written(model, steps)["answers"]
    return found | {
        "nll": sum(nll) / len(nll), "nll_by_rate": nll, "kept": sum(skill.values()) / len(skill), "skill": skill,
        "weights": weights_digest(model), "seconds": {"training": seconds},
    }  # fmt: skip

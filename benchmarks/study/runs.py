"""A run: fine-tune from a start by one method with one seed, and judge what became of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.study.judging import RowsToJudge
from benchmarks.study.methods import BESIDE, METHODS
from benchmarks.study.model import load_model
from benchmarks.study.plan import Job, Plan
from benchmarks.study.starts import base_skill, held_out_rows, start_path
from benchmarks.study.streams import seed_of, stream
from benchmarks.study.tasks import TASKS, build_tokenizer, draw_rows
from benchmarks.study.training import train
from lift.evaluation.weights_digest import weights_digest

_FEW_STEPS = (8, 4)


def make_run(job: Job, folder: Path, plan: Plan) -> dict[str, Any]:
    """Fine-tune and judge; shares are in [0, 1], losses in nats."""
    setting, method = plan.settings[job.setting], (METHODS | BESIDE)[job.method]
    test = held_out_rows(job, plan)
    names = (job.setting, job.start, job.seed)  # not the method: all methods see the same rows, times and order
    rows = draw_rows(TASKS[setting.task], plan.train_rows, stream("train", *names), exclude=set(test))
    tokenizer = build_tokenizer()
    model = load_model(start_path(folder, job, plan))
    began = time.perf_counter()
    train(
        model, rows, tokenizer, steps=round(setting.steps * method.step_factor), seed=seed_of("noise", *names),
        learning_rate=setting.learning_rate, lr_scheduler_type="linear", trainer=method.trainer, **method.options,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    judged, skill = RowsToJudge(test, tokenizer), base_skill(model, plan)
    nll = judged.nll(model)
    found: dict[str, Any] = judged.written(model)
    for steps in _FEW_STEPS:
        found[f"answers@{steps}"] = judged.written(model, steps)["answers"]
    return found | {
        "nll": sum(nll) / len(nll), "nll_by_rate": nll, "kept": sum(skill.values()) / len(skill), "skill": skill,
        "weights": weights_digest(model), "seconds": {"training": seconds},
    }  # fmt: skip

"""Where fine-tuning starts: the base model, and half-way models, which have begun to learn a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.study.judging import RowsToJudge
from benchmarks.study.model import load_model, new_model, save_model
from benchmarks.study.plan import Job, Plan
from benchmarks.study.streams import seed_of, stream
from benchmarks.study.tasks import BASE_TASKS, TASKS, Row, base_row, build_tokenizer, draw_rows
from benchmarks.study.training import train
from lift.errors import LiftError
from lift.evaluation.weights_digest import weights_digest


def start_path(folder: Path, job: Job, plan: Plan) -> Path:
    """Return the file of the weights that a job makes, or that a run starts with."""
    if job.kind == "base" or (job.kind == "run" and plan.settings[job.setting].from_base):
        return folder / "models" / "base.safetensors"
    return folder / "models" / f"{job.setting}-{job.start}.safetensors"


def held_out_rows(job: Job, plan: Plan) -> list[Row]:
    """Return the rows by which all runs from one start are judged."""
    task = TASKS[plan.settings[job.setting].task]
    return draw_rows(task, plan.test_rows, stream("test", job.setting, job.start))


def base_skill(model: Any, plan: Plan) -> dict[str, float]:
    """Return the share of whole responses right in each of the base model's tasks, one token a step."""
    tokenizer = build_tokenizer()
    return {
        name: RowsToJudge(draw_rows(task, plan.kept_rows, stream("skill", name)), tokenizer).written(model)["responses"]
        for name, task in BASE_TASKS.items()
    }


def make_base(job: Job, folder: Path, plan: Plan) -> dict[str, Any]:
    """Train the base model by plain SFT, for a counted number of steps, and keep it.

    Raises:
        LiftError: it has not learned its tasks.
    """
    rng = stream("base")
    rows = [base_row(rng) for _ in range(plan.base_rows)]
    model = new_model(seed_of("new model"))
    train(
        model, rows, build_tokenizer(), steps=plan.base_steps, seed=seed_of("base"), method="sft",
        learning_rate=3e-3, lr_scheduler_type="cosine", pad_in_loss=False,
    )  # fmt: skip
    skill = base_skill(model, plan)
    if min(skill.values()) < plan.base_gate:
        raise LiftError(
            f"the base model writes {skill} of its responses right, and {plan.base_gate} of each are asked for: see "
            "the gate in PROTOCOL.md."
        )
    save_model(model, start_path(folder, job, plan))
    return {"skill": skill, "weights": weights_digest(model)}


def make_halfway(job: Job, folder: Path, plan: Plan) -> dict[str, Any]:
    """Train from the base model by rounds of SFT, until enough calibration responses are right, and keep the model."""
    task, test = TASKS[plan.settings[job.setting].task], held_out_rows(job, plan)
    calibration = draw_rows(
        task, plan.calibration_rows, stream("calibration", job.setting, job.start), exclude=set(test)
    )
    rows = draw_rows(
        task, plan.train_rows, stream("half-way", job.setting, job.start), exclude={*test, *calibration}
    )  # fmt: skip
    tokenizer = build_tokenizer()
    model, judged = load_model(start_path(folder, Job("base"), plan)), RowsToJudge(calibration, tokenizer)
    num_rounds, reached = 0, 0.0
    while num_rounds < plan.max_rounds and reached < plan.halfway_share:
        seed = seed_of("half-way", job.setting, job.start, num_rounds)
        train(
            model, rows, tokenizer, steps=plan.round_steps, seed=seed, method="sft", learning_rate=1e-3,
            lr_scheduler_type="constant_with_warmup",
        )  # fmt: skip
        num_rounds, reached = num_rounds + 1, judged.written(model)["responses"]
    save_model(model, start_path(folder, job, plan))
    return {
        "rounds": num_rounds, "calibration": reached, **RowsToJudge(test, tokenizer).written(model),
        "weights": weights_digest(model),
    }  # fmt: skip

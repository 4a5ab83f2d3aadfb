"""`lift train --eval_tasks`: scores on benchmarks while a model trains, in its log."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from lift.cli.benchmark_tasks import open_tasks, put_to, task_names
from lift.errors import LiftError
from lift.evaluation import LiftLM
from lift.evaluation.summary import Score, summarise
from lift.models.training_record import training_record
from lift.training import LiftTrainer
from lift.training.batch_options import EVALUATION_SHARE
from lift.training.progress import shows_progress

logger = logging.getLogger(__name__)


class TaskScores(TrainerCallback):
    """Callback that scores the model on tasks before the first step, every so many, and after the last.

    Each score goes to the Trainer's log, and so to `report_to` and history.jsonl: `eval_TASK_METRIC`, both ends of its
    95 % interval (`_low`, `_high`), `eval_TASK_n` documents, and `eval_TASK_runtime` in seconds. Answers are those of
    `lift eval` on the same weights; the training goes on as it would without.

    Args:
        trainer: whose model is scored.
        names: of tasks, with commas between, as `lift eval --tasks` has them.
        every: optimiser steps between two scores; None: a tenth of the run.
        data_files: `TASK=FILE`, local rows of a task.
        limit: documents of a task, the first ones.
        sampling: options of `LiftLM`, such as the fields of `SamplingConfig`.

    Raises: LiftError for an unknown task, one that runs programs, or a model in shards.
    """

    def __init__(
        self, trainer: LiftTrainer, names: str, *, every: int | None, data_files: Sequence[str], limit: int,
        sampling: Mapping[str, Any],
    ) -> None:  # fmt: skip
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            raise LiftError(
                "eval_tasks needs a whole model in each process, and this training shards it: leave it out, and score "
                "checkpoints by lift eval."
            )
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        self._trainer, self._every, self._limit, self._sampling = trainer, every, limit, sampling
        with _kept_random_state():
            trained_on = training_record(trainer.model).get("task")
            self._tasks = open_tasks(task_names(names), data_files, trained_on=trained_on)
            remark = self._model().remark  # and says what does not fit before anything is trained
        if remark is not None:
            logger.info("eval_tasks: %s", remark)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score the model before training: also so that what does not fit is said before the first step."""
        if self._every is None:
            self._every = math.ceil(EVALUATION_SHARE * state.max_steps)
        if state.global_step == 0:
            self._score()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score the model where it is time."""
        if state.global_step % self._every == 0 or state.global_step >= state.max_steps:
            self._score()

    def _model(self) -> LiftLM:
        """Return the model as it is now: answers are named by its weights."""
        trainer = self._trainer
        return LiftLM(
            trainer.model, tokenizer=trainer.processing_class, mask_token_id=trainer.mask_token_id,
            batch_size=trainer.args.per_device_eval_batch_size, show_progress=shows_progress(trainer.args),
            **self._sampling,
        )  # fmt: skip

    def _score(self) -> None:
        trainer = self._trainer
        with trainer.timed_apart(), _kept_random_state():
            model = self._model()
            for task in self._tasks:
                start, name = time.perf_counter(), task.config.task
                results = put_to(model, task, limit=self._limit)
                if results is None:
                    continue
                scores = summarise(results["samples"][name], results["results"][name])
                logger.info("step %d: %s, %s", trainer.state.global_step, name, ", ".join(map(_sentence, scores)))
                trainer.log(_entry(name, scores) | {f"eval_{name}_runtime": time.perf_counter() - start})


def _entry(task: str, scores: Sequence[Score]) -> dict[str, float]:
    """Return scores as flat numbers, which every reporter takes."""
    entry: dict[str, float] = {f"eval_{task}_n": scores[0].num_documents}
    for score in scores:
        name = f"eval_{task}_{score.name}"
        entry[name] = score.value
        if score.interval is not None:
            entry[f"{name}_low"], entry[f"{name}_high"] = score.interval
    return entry


def _sentence(score: Score) -> str:
    interval = "" if score.interval is None else f" ({score.interval.low:.3g} to {score.interval.high:.3g})"
    return f"{score.name} {score.value:.3g}{interval}"


@contextmanager
def _kept_random_state() -> Iterator[None]:
    """Give all global generators their state back: a task may draw, and the training must not notice."""
    python, numpy = random.getstate(), np.random.get_state()
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    devices = [] if device is None else [torch.accelerator.current_device_index()]
    with torch.random.fork_rng(devices, device_type="cuda" if device is None else device.type):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)

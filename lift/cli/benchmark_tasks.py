"""The tasks of `lift eval`, and of `lift train --eval_tasks`: opened by name, and put to a model through lm-eval."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lift.errors import LiftError
from lift.tasks.benchmarks.files import AS_TRAINED, BENCHMARKS

logger = logging.getLogger(__name__)


def task_names(names: str) -> list[str]:
    """Return the names in a text with commas between."""
    return [name.strip() for name in names.split(",") if name.strip()]


def open_tasks(
    names: Sequence[str], data_files: Sequence[str], *, trained_on: str | None, run_generated_code: bool | None = None
) -> list[Any]:
    """Return the tasks, with their rows.

    Args:
        names: of benchmarks, of lm-eval's own tasks, or YAML files.
        data_files: `TASK=FILE`, local rows of a task.
        trained_on: the built-in task that the model was trained on; its benchmark is asked as the training did.
        run_generated_code: whether programs may run; None: not here, whatever is asked.
    Raises: LiftError without a task, for an unknown one or file, and where one runs code that it may not, or that
        cannot be confined.
    """
    from lm_eval.tasks import TaskManager

    from lift.confinement.seccomp import unsupported

    if not names:
        raise LiftError("no task is named: lift eval --help lists the tasks.")
    files = dict(pair.partition("=")[::2] for pair in data_files)
    for name, file in files.items():
        if name not in names:
            raise LiftError(f"data_files: {name!r} is none of the tasks: write TASK=FILE.")
        if not file:
            raise LiftError(f"data_files: {name} has no file: write {name}=FILE.")
    asked = {name: AS_TRAINED.get((trained_on, name), name) for name in names}
    for name, other in asked.items():
        if name != other:
            logger.info("%s is asked as %s, in the form that the model was trained on", name, other)
    specs = [str(BENCHMARKS.get(name, name)) for name in asked.values()]
    needs_index = any(not spec.endswith((".yaml", ".yml")) for spec in specs)
    manager = TaskManager(
        include_defaults=needs_index, metadata={"data_files": {asked[name]: file for name, file in files.items()}}
    )
    try:
        tasks = list(manager.load(specs)["tasks"].values())
    except KeyError as error:
        raise LiftError(f"{error.args[0]}: lift eval --help lists the tasks.") from None
    for task in tasks:
        name = task.config.task
        if getattr(task, "UNSAFE_CODE", False):
            if not run_generated_code:
                remedy = (
                    "score it by lift eval" if run_generated_code is None else "allow it by --run_generated_code true"
                )
                raise LiftError(f"{name} runs programs that the model writes: {remedy}.")
            if name in BENCHMARKS and (why := unsupported()):
                raise LiftError(f"{name} runs programs that the model writes, and they cannot be confined here: {why}.")
    return tasks


def put_to(model: Any, task: Any, **options: Any) -> Mapping[str, Any] | None:
    """Return what lm-eval's `simple_evaluate` makes of one task and a `LiftLM`; None in all processes but the first.

    A chat template is applied where the tokenizer has one, unless the `options`, those of `simple_evaluate`, say so.
    """
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    options = {"apply_chat_template": model.tokenizer.chat_template is not None} | options
    with _without_git():
        return simple_evaluate(
            model=model, tasks=[task], task_manager=TaskManager(include_defaults=False), bootstrap_iters=0, **options
        )


@contextmanager
def _without_git() -> Iterator[None]:
    """Keep lm-eval from asking git for a commit: no record has it, and git complains where there is no repository."""
    from lm_eval import evaluator

    ask = evaluator.get_git_commit_hash
    evaluator.get_git_commit_hash = lambda: None
    try:
        yield
    finally:
        evaluator.get_git_commit_hash = ask

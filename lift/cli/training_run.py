"""One training run: from its arguments to a trained model, its metrics and its pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import transformers
from rich.console import Console
from transformers import TrainerCallback

from lift.atomic_write import atomic_write
from lift.cli.arguments import ModelArguments
from lift.cli.input_paths import input_paths
from lift.cli.loading import build_model, keep_generation_config
from lift.cli.output_folder import lacks_its_end, where_to_start
from lift.cli.own_rows import open_rows
from lift.cli.replaced_run import ReplacedRun
from lift.cli.run_pictures import draw_run
from lift.cli.run_records import RunRecords
from lift.cli.train_arguments import TrainArguments
from lift.errors import LiftError
from lift.models.lora import add_lora, is_adapter
from lift.models.training_record import record_training
from lift.tasks import Metrics, Task, open_task
from lift.training import LiftConfig, LiftTrainer
from lift.training.best_metric import check_comparison
from lift.training.early_stopping import EarlyStopping
from lift.training.stopping import StopOnSignal

_SHOWN = (".jinja", ".json", ".jsonl", ".pdf", ".png", ".safetensors", ".svg", ".yaml")


def train(
    arguments: TrainArguments, *, callbacks: Sequence[TrainerCallback] = (), stop: StopOnSignal | None = None
) -> Metrics:
    """Train, evaluate before and after, and leave model, tokenizer, records, metrics and pictures in output_dir.

    Args:
        arguments: what to do.
        callbacks: of the Trainer, beside its own.
        stop: what a signal stops the training through. A stopped run is left as it is, with its checkpoint.

    Returns: the metrics; those before training alone of a stopped run.

    Raises:
        LiftError: bad input, before anything is written.
        Interrupted: a signal before the first step, or a second one.
    """
    stop = StopOnSignal() if stop is None else stop
    config, output = arguments.config, Path(str(arguments.config.output_dir))
    checkpoint = where_to_start(
        output, resume_from=config.resume_from_checkpoint, may_overwrite=arguments.run.overwrite_output_dir,
        inputs=input_paths(arguments.settings, arguments.command),
    )  # fmt: skip
    console = Console(
        quiet=not config.should_log, highlight=False, width=None if sys.stdout and sys.stdout.isatty() else 100
    )
    records, replaced = RunRecords(arguments, output, checkpoint), ReplacedRun(output)
    task, trainer = open_trainer(arguments, [*records.callbacks, replaced, *callbacks, stop])
    console.print(
        f"[bold]{config.method}[/bold] on {task.description}: {model_size(trainer.model)}, "
        f"{len(task.train):,} rows to train on, {len(task.eval):,} to evaluate on"
    )
    replaces = arguments.run.overwrite_output_dir and checkpoint is None and trainer.is_world_process_zero()
    trainer.accelerator.wait_for_everyone()  # all have looked at the folder
    before = records.before()

    def evaluate_before() -> None:
        console.print("evaluating before training ...")
        before.update(_evaluate(trainer, task, records))
        console.print(f"before training: {task.sentence(before)}")

    with stop, replaced.kept_until_first_step(is_asked=replaces), records.kept_from_first_step():
        trainer.accelerator.wait_for_everyone()
        if before:
            console.print(f"before training: {task.sentence(before)}")
        elif trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            trainer.add_callback(_WhenTrainingBegins(evaluate_before))  # they shard the model when training starts
        else:
            evaluate_before()
        if checkpoint is not None and lacks_its_end(checkpoint, output, config.max_steps):
            console.print(f"{checkpoint} is of the last step: what follows the training is left to do")
            result = trainer.finish(checkpoint)
        else:
            result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if stop.stopped_at is not None:
        console.print(f"stopped at step {stop.stopped_at}: go on with --resume_from_checkpoint true")
        return {"before": before}
    after = _evaluate(trainer, task, records)
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")  # shards are not written here
    trainer.save_model()  # before anything is printed: who read it may have left
    if config.should_save:
        keep_generation_config(arguments.model, output)
    console.print(f"after training:  {task.sentence(after)}")
    task.report(console, trainer.model, output)
    if not config.should_save:
        return {"before": before, "after": after}
    metrics = {
        "method": config.method,
        "steps": result.global_step,
        "train_seconds": records.history.earlier_seconds + result.metrics["train_runtime"],
        "train_loss": result.training_loss if checkpoint is None else records.history.train_loss,
        "before": before,
        "after": after,
    }
    with atomic_write(output / "metrics.json") as file:
        file.write(json.dumps(metrics, indent=2).encode() + b"\n")
    if not draw_run(arguments, task, trainer.model, records.history.lines, before, after, output):
        console.print("no pictures, as matplotlib is not installed: pip install 'lift-kernels[plot]'")
    names = sorted(p.name for p in output.iterdir() if p.is_file() and p.suffix in _SHOWN)
    console.print(f"[bold]wrote {output}/[/bold]: {', '.join(names)}")
    return metrics


def open_trainer(arguments: TrainArguments, callbacks: Sequence[TrainerCallback] = ()) -> tuple[Task, LiftTrainer]:
    """Load rows and model, and return the task and the trainer, before any step.

    Raises:
        LiftError: bad input.
    """
    config = arguments.config
    _check_base(arguments.model)
    check_comparison(config, ["eval_loss"])
    transformers.set_seed(config.seed)
    task = open_task_rows(arguments)
    _check_batches(len(task.train), config)
    model = build_model(arguments.model, task.tokenizer, seed=config.seed)
    if arguments.model.use_peft:
        model = add_lora(model, arguments.model)
    record_training(model, task.record)
    trainer = LiftTrainer(
        model=model,
        args=config,
        train_dataset=task.train,
        eval_dataset=task.eval,
        processing_class=task.tokenizer,
        callbacks=list(callbacks),
    )
    run = arguments.run
    if run.early_stopping_patience is not None:
        trainer.add_callback(EarlyStopping(run.early_stopping_patience))
    if run.eval_tasks:
        from lift.cli.task_scores import TaskScores  # lm-eval is an extra

        trainer.add_callback(
            TaskScores(
                trainer, run.eval_tasks, every=run.eval_task_every, data_files=run.eval_task_files or [],
                limit=run.eval_task_limit, sampling=run.task_sampling(),
            )
        )  # fmt: skip
    return task, trainer


def open_task_rows(arguments: TrainArguments) -> Task:
    """Load and tokenise everything."""
    arguments.data.check_source()
    if arguments.data.task is not None:
        return open_task(arguments.data.task, arguments.task, arguments.config)
    return open_rows(arguments.data, arguments.model, arguments.config)


def _check_batches(num_rows: int, config: LiftConfig) -> None:
    size = config.per_device_train_batch_size * config.world_size
    if config.dataloader_drop_last and num_rows < size:
        raise LiftError(
            f"dataloader_drop_last leaves no batch of the {num_rows} rows to train on, as one takes {size}: make the "
            "batch smaller, or leave it out."
        )


def _check_base(model: ModelArguments) -> None:
    model.check_model()
    if model.model_name_or_path is not None and is_adapter(model.model_name_or_path):
        raise LiftError(
            f"model_name_or_path {model.model_name_or_path} is an adapter: go on with --resume_from_checkpoint, or "
            "train the model that lift merge makes of it."
        )


def model_size(model: Any) -> str:
    """Say how many parameters a model has, and how many of them are trained."""
    sizes = {p: getattr(p, "ds_numel", p.numel()) for p in model.parameters()}  # ZeRO-3 leaves a parameter empty
    trained = sum(size for p, size in sizes.items() if p.requires_grad)
    total = sum(sizes.values())
    return f"{total:,} parameters" + ("" if trained == total else f", {trained:,} of them trained")


def _evaluate(trainer: LiftTrainer, task: Task, records: RunRecords) -> Metrics:
    """Evaluate in every process alike: a model in shards answers only where all of them ask."""
    loss, score = trainer.evaluate()["eval_loss"], task.score(trainer.model)
    if score:
        records.history.add(trainer.state, {"score": score})
    return {"eval_loss": loss, **score}


class _WhenTrainingBegins(TrainerCallback):
    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._act()

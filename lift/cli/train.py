"""`lift train`: from a configuration to a trained model, its metrics and its pictures."""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from rich.console import Console
from rich.logging import RichHandler
from transformers import TrainerCallback

from lift.atomic_write import atomic_write
from lift.cli.arguments import DataArguments, ModelArguments, RunArguments, parse
from lift.cli.loading import build_model
from lift.cli.sources import Source, open_source
from lift.errors import LiftError
from lift.models.lora import add_lora, is_adapter
from lift.training.config import LiftConfig
from lift.training.loss_curve import loss_curve
from lift.training.trainer import LiftTrainer


def run(arguments: Sequence[str]) -> None:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()  # saving and loading take a moment only
    logger = logging.getLogger("lift")
    logger.setLevel(logging.INFO)
    logger.handlers = [RichHandler(console=Console(stderr=True), show_time=False, show_level=False, show_path=False)]
    train(*parse(arguments))
    processes = PartialState()
    processes.wait_for_everyone()  # a launcher may stop the others where one that left early aborts
    processes.destroy_process_group()


def train(
    model_arguments: ModelArguments, data_arguments: DataArguments, run_arguments: RunArguments, config: LiftConfig
) -> dict[str, Any]:
    """Train, evaluate before and after, and leave model, tokenizer, metrics.json and pictures in output_dir.

    Returns: the metrics.
    Raises: LiftError on bad input, before anything is written.
    """
    import transformers

    output = Path(str(config.output_dir))
    checkpoint = _checkpoint(config)
    if checkpoint is None:
        _check_output(output, run_arguments)
    _check_base(model_arguments)
    console = Console(quiet=not config.should_log, highlight=False, width=None if sys.stdout.isatty() else 100)
    transformers.set_seed(config.seed)
    source = open_source(data_arguments, model_arguments, config)
    model = build_model(model_arguments, source.tokenizer, seed=config.seed)
    if model_arguments.use_peft:
        model = add_lora(model, model_arguments)
    trainer = LiftTrainer(
        model=model,
        args=config,
        train_dataset=source.train,
        eval_dataset=source.eval,
        processing_class=source.tokenizer,
    )
    console.print(
        f"[bold]{config.method}[/bold] on {source.description}: {_size(model)}, "
        f"{len(source.train):,} rows to train on, {len(source.eval):,} to evaluate on"
    )
    if run_arguments.overwrite_output_dir and checkpoint is None and trainer.is_world_process_zero():
        shutil.rmtree(output, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    before: dict[str, Any] = {}

    def evaluate_before() -> None:
        before.update(_evaluate(trainer, source))
        console.print(f"before training: {source.sentence(before)}")

    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.add_callback(_AtTheBeginning(evaluate_before))  # they shard the model when training starts
    else:
        evaluate_before()
    result = trainer.train(resume_from_checkpoint=checkpoint)
    after = _evaluate(trainer, source)
    console.print(f"after training:  {source.sentence(after)}")

    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")  # shards are not written here
    trainer.save_model()
    source.report(console, trainer.model, output)
    if not config.should_save:
        return {"before": before, "after": after}
    metrics = {
        "method": config.method,
        "steps": result.global_step,
        "train_seconds": result.metrics["train_runtime"],
        "train_loss": result.training_loss,
        "before": before,
        "after": after,
    }
    with atomic_write(output / "metrics.json") as file:
        file.write(json.dumps(metrics, indent=2).encode() + b"\n")
    if importlib.util.find_spec("matplotlib") is None:
        console.print("no pictures, as matplotlib is not installed: pip install 'lift-kernels[plot]'")
    else:
        loss_curve(trainer.state.log_history, output / "loss_curve.png")
        source.draw(before, after, output)
    names = sorted(p.name for p in output.iterdir() if p.is_file() and p.suffix in (".png", ".json", ".safetensors"))
    console.print(f"[bold]wrote {output}/[/bold]: {', '.join(names)}")
    return metrics


def _check_base(model: ModelArguments) -> None:
    if model.use_peft and model.model_config is not None:
        raise LiftError(
            "use_peft needs a model that was saved, as only the adapter is kept: pass --model_name_or_path."
        )
    if model.model_name_or_path is not None and is_adapter(model.model_name_or_path):
        raise LiftError(
            f"model_name_or_path {model.model_name_or_path} is an adapter: go on with --resume_from_checkpoint, or "
            "train the model that lift merge makes of it."
        )


def _size(model: Any) -> str:
    sizes = {p: getattr(p, "ds_numel", p.numel()) for p in model.parameters()}  # ZeRO-3 leaves a parameter empty
    trained = sum(size for p, size in sizes.items() if p.requires_grad)
    total = sum(sizes.values())
    return f"{total:,} parameters" + ("" if trained == total else f", {trained:,} of them trained")


def _evaluate(trainer: LiftTrainer, source: Source) -> dict[str, Any]:
    """In every process alike: a model in shards answers only where all of them ask."""
    return {"eval_loss": trainer.evaluate()["eval_loss"], **source.score(trainer.model)}


class _AtTheBeginning(TrainerCallback):
    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._act()


def _checkpoint(config: LiftConfig) -> str | None:
    """The folder to resume from: `true` stands for the newest checkpoint in output_dir that is whole."""
    value = config.resume_from_checkpoint
    if value is None or value.lower() == "false":
        return None
    if value.lower() != "true":
        if not Path(value).is_dir():
            raise LiftError(f"no checkpoint folder at {value}: pass --resume_from_checkpoint true for the newest one.")
        return value
    # Written last: a run that was killed may have left a checkpoint without it.
    states = Path(str(config.output_dir)).glob("checkpoint-*/trainer_state.json")
    steps = {int(number): state.parent for state in states if (number := state.parent.name.split("-")[1]).isdigit()}
    if not steps:
        raise LiftError(f"no checkpoint in {config.output_dir}: leave --resume_from_checkpoint out to start anew.")
    return str(steps[max(steps)])


def _check_output(output: Path, run_arguments: RunArguments) -> None:
    if output.exists() and not output.is_dir():
        raise LiftError(f"output_dir {output} is a file: choose a folder.")
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not run_arguments.overwrite_output_dir:
        raise LiftError(
            f"output_dir {output} is not empty: choose another, continue with --resume_from_checkpoint true, or "
            "replace it with --overwrite_output_dir true."
        )
    is_a_run = (output / "metrics.json").exists() or any(output.glob("checkpoint-*"))
    if not is_a_run:
        raise LiftError(f"output_dir {output} holds files that no training run wrote: choose another folder.")

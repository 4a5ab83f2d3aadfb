"""Whether the metric that checkpoints are compared by is one that the evaluations give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import EarlyStoppingCallback

from lift.errors import LiftError

_KNOWN_PACKAGES = ("lift", "transformers", "trl")


def check_best_metric(trainer: Any) -> None:
    """Check what compares the evaluations of `trainer` before any is made.

    A subclass or a callback that has its own evaluation may give other metrics, which only its results show.

    Raises:
        LiftError: as `check_comparison`.
    """
    callbacks = trainer.callback_handler.callbacks
    check_comparison(
        trainer.args, _loss_names(trainer.eval_dataset), may_give_more=_may_give_more(trainer),
        stops_early=any(isinstance(callback, EarlyStoppingCallback) for callback in callbacks),
    )  # fmt: skip


def check_comparison(
    args: Any, losses: Sequence[str], *, may_give_more: bool = False, stops_early: bool = False
) -> None:
    """Check what compares evaluations: the best checkpoint, early stopping, the learning rate.

    Args:
        args: training arguments.
        losses: the names of what the evaluations give.
        may_give_more: they may give other metrics too.
        stops_early: an EarlyStoppingCallback is there.

    Raises:
        LiftError: no evaluation is made, or none gives metric_for_best_model; the sentence names what to set.
    """
    metric: str | None = args.metric_for_best_model
    if args.eval_strategy == "no":
        asking = {
            "EarlyStoppingCallback": stops_early,
            "load_best_model_at_end=True": args.load_best_model_at_end,
            "save_strategy=best": args.save_strategy == "best",
            f"metric_for_best_model={metric}": metric is not None,
        }
        for what, is_asked in asking.items():
            if is_asked:
                raise LiftError(f"{what} needs evaluations: set eval_strategy to steps or epoch, or leave it out.")
        return
    if metric is None:
        if stops_early:
            raise LiftError(f"EarlyStoppingCallback needs a metric: set metric_for_best_model={' or '.join(losses)}.")
        return
    full_name = metric if metric.startswith("eval_") else f"eval_{metric}"
    if full_name in losses:
        if args.greater_is_better:
            raise LiftError(
                f"greater_is_better=True would take the highest {full_name} for the best: leave it out, as the lowest "
                "loss is."
            )
    elif not may_give_more:
        raise LiftError(
            f"metric_for_best_model={metric} is not what the evaluation gives: set it to {' or '.join(losses)}."
        )


def _loss_names(eval_dataset: Any) -> list[str]:
    if isinstance(eval_dataset, dict):
        return [f"eval_{name}_loss" for name in eval_dataset]
    return ["eval_loss"]


def _may_give_more(trainer: Any) -> bool:
    methods = [getattr(type(trainer), name) for name in ("evaluate", "evaluation_loop", "log")]
    methods += [type(callback).on_evaluate for callback in trainer.callback_handler.callbacks]
    return any(method.__module__.split(".")[0] not in _KNOWN_PACKAGES for method in methods)

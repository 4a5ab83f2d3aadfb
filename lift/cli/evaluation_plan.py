"""When `lift train` evaluates and saves, where that follows from other flags. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from lift.errors import LiftError
from lift.training.batch_options import EVALUATION_SHARE


def plan_evaluations(values: dict[str, Any], given: Collection[str]) -> None:
    """Set what the user left open: evaluations in steps, and what the best checkpoint and early stopping need.

    Args:
        values: of every flag, by the name of its field; changed in place. A word may stand in a list of one.
        given: the fields that a flag or a file sets, which are left as they are.

    Raises:
        LiftError: what is given leaves early stopping without evaluations, or the best checkpoint without checkpoints.
    """

    def by_default(name: str, value: Any) -> None:
        if name not in given:
            values[name] = value

    stops_early = values["early_stopping_patience"] is not None
    if stops_early:
        by_default("metric_for_best_model", "eval_loss")
        by_default("load_best_model_at_end", True)
    saving = _word(values["save_strategy"])
    goes_back = bool(values["load_best_model_at_end"])
    if values["eval_strategy"] is None:
        values["eval_strategy"] = "epoch" if goes_back and saving == "epoch" else "steps"
    if goes_back:
        if saving == "no":
            asking = "early_stopping_patience" if stops_early else "load_best_model_at_end"
            remedy = "load_best_model_at_end to false" if stops_early else "leave it out"
            raise LiftError(
                f"{asking} goes back to the best checkpoint, and save_strategy=no saves none: set save_strategy to "
                f"steps or epoch, or {remedy}."
            )
        if values["eval_strategy"] in ("steps", "epoch"):
            by_default("save_strategy", values["eval_strategy"])
        if values["eval_strategy"] == _word(values["save_strategy"]) == "steps" and "save_steps" not in given:
            by_default("eval_steps", EVALUATION_SHARE)
            values["save_steps"] = values["eval_steps"]  # each evaluation has its checkpoint
    if stops_early and values["eval_strategy"] == "no":
        raise LiftError(
            "early_stopping_patience needs evaluations: set eval_strategy to steps or epoch, or leave it out."
        )


def _word(value: Any) -> str:
    return str(next(iter(value), "")) if isinstance(value, list) else str(value)

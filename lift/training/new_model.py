"""Models that a function makes anew, as `hyperparameter_search` needs them for each trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import enable_full_determinism, set_seed
from transformers.trainer_utils import number_of_arguments

from lift.errors import LiftError


def model_to_start_with(model: Any, model_init: Callable[..., Any] | None, args: Any, others: Mapping[str, Any]) -> Any:
    """Return `model`, or where there is none what `model_init` makes, from the seed that training starts with too.

    Args:
        model: what the trainer was given.
        model_init: a function of nothing or of a trial, which is None here; or None.
        args: training arguments, for their seed.
        others: the other arguments of the trainer.

    Raises:
        LiftError: both are given, or model_init beside an optimiser, which would hold the weights of another model.
    """
    if model_init is None:
        return model
    if model is not None:
        raise LiftError("LiftTrainer takes a model or model_init, not both: leave one out.")
    if any(others.get("optimizers") or ()):
        raise LiftError(
            "optimizers hold the weights of one model, and model_init makes others: set optim, or pass "
            "optimizer_cls_and_kwargs."
        )
    if number_of_arguments(model_init) > 1:
        raise LiftError("model_init must be a function of nothing, or of the trial.")
    (enable_full_determinism if args.full_determinism else set_seed)(args.seed)
    return model_init(None) if number_of_arguments(model_init) else model_init()

"""Whether `lr_scheduler_kwargs` are such that the chosen schedule takes: transformers would say so after the data."""

from __future__ import annotations

import inspect
from typing import Any

from transformers import SchedulerType
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

from lift.errors import LiftError

_SET_BY_TRAINER = ("optimizer", "num_warmup_steps", "num_training_steps", "last_epoch")


def check_scheduler_options(args: Any) -> None:
    """Check the names in `args.lr_scheduler_kwargs`.

    Raises:
        LiftError: the schedule takes no such option.
    """
    kind = SchedulerType(args.lr_scheduler_type)
    schedule: Any = TYPE_TO_SCHEDULER_FUNCTION[kind]
    parameters = inspect.signature(schedule).parameters.values()
    if not isinstance(args.lr_scheduler_kwargs, dict) or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.name not in _SET_BY_TRAINER]
    for name in args.lr_scheduler_kwargs:
        if name not in known:
            raise LiftError(
                f"lr_scheduler_kwargs has {name!r}, and lr_scheduler_type={kind.value} takes "
                f"{', '.join(known) or 'no options'}: correct it, or leave it out."
            )

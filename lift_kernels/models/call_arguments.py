"""What a call of a patched model is given: which arguments it takes, and which the fused loss cannot honour."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from lift_kernels.ops.one_forward import OneForward

# What transformers adds to the output on request. A call with labels returns the loss alone.
_MORE_OUTPUTS = ("output_hidden_states", "output_attentions", "output_router_logits")


def parameter_names(*functions: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters of these functions, and of what transformers passes on to any model."""
    from transformers.utils import TransformersKwargs

    names = {p.name for function in functions for p in inspect.signature(function).parameters.values()}
    return frozenset(names | set(TransformersKwargs.__annotations__))


def by_name(
    args: tuple[Any, ...], kwargs: dict[str, Any], names: Sequence[str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments with labels, and what follows them, moved from their position to their name."""
    place = names.index("labels") if "labels" in names else len(args)
    return args[:place], kwargs | dict(zip(names[place:], args[place:], strict=False))


def check_known(model_name: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise TypeError for an argument that the forward does not know: it would go unheeded into its **kwargs."""
    unknown = [name for name, value in given.items() if name not in known and value is not None and value is not False]
    if unknown:
        raise TypeError(
            f"{model_name}: with labels there is no argument {unknown[0]!r}. Those of the loss are labels, "
            "token_weight, denominator, num_targets, return_token_stats, runner_up, lift, predicts_next, "
            "first_position and confidence."
        )


def refuse_more_outputs(model_name: str, given: Mapping[str, Any], config: Any) -> None:
    """Raise ValueError where hidden states or the like are asked for, by the call or else by the config."""
    for name in _MORE_OUTPUTS:
        asked = given.get(name)
        if asked if asked is not None else getattr(config, name, False):
            where = f"{name}=True" if asked else f"config.{name}=True"
            raise ValueError(
                f"{model_name}: {where} is not supported with labels, where the fused loss returns no more than the "
                f"loss. Pass {name}=False, or ask for it in a call without labels."
            )


def own_denominator(num_items_in_batch: Any) -> Any:
    """Return the denominator that transformers' Trainer passes: at least 1, as a step may have no label at all."""
    if isinstance(num_items_in_batch, Tensor):
        return num_items_in_batch.clamp(min=1)
    return 1 if num_items_in_batch == 0 else num_items_in_batch


def one_forward_of(model_name: str, lift: Any) -> OneForward | None:
    """Return the arguments of the one-forward objective as a `OneForward`."""
    if lift is None or isinstance(lift, OneForward):
        return lift
    if not isinstance(lift, Mapping):
        raise TypeError(
            f"{model_name}: lift must be a dict of arguments of lift_cross_entropy or a OneForward, got "
            f"{type(lift).__name__}."
        )
    required = OneForward._fields[: -len(OneForward._field_defaults)]
    wrong = [name for name in lift if name not in OneForward._fields] + [name for name in required if name not in lift]
    if wrong:
        raise TypeError(
            f"{model_name}: lift must have {', '.join(required)} and may have "
            f"{', '.join(OneForward._field_defaults)}: correct {wrong[0]!r}."
        )
    return OneForward(**lift)

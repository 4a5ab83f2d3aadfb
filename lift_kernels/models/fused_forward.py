"""The forward that a patched model runs: hidden states, then the loss, and no logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from lift_kernels.models.backbone import run_backbone
from lift_kernels.models.call_arguments import (
    by_name,
    check_known,
    one_forward_of,
    own_denominator,
    refuse_more_outputs,
)
from lift_kernels.models.families import find_model_family
from lift_kernels.models.fused_loss import FusedLoss
from lift_kernels.models.instance_forward import options_of
from lift_kernels.models.positions import Positions
from lift_kernels.models.uncast import Uncast, uncast
from lift_kernels.ops.one_forward import OneForward

OWNER = "apply_lift_kernels"


class PatchOptions(NamedTuple):
    """What the patch knows of a model before it is called."""

    of_op: dict[str, Any]
    names: tuple[str, ...]  # of the parameters of its own forward, in their order
    known: frozenset[str]  # names that some part of it takes
    positions: Positions


def fused_forward(self: Any, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a patched model, whose arguments may be given by position as to its own forward."""
    if args:
        args, kwargs = by_name(args, kwargs, options_of(self, OWNER).names)
    return fused_loss(self, own_forward, *args, **kwargs)


def fused_loss(
    self: Any,
    own_forward: Callable[..., Any],
    *args: Any,
    labels: Tensor | None = None,
    token_weight: Tensor | Uncast | None = None,
    denominator: float | Tensor | Uncast | None = None,
    num_targets: int | None = None,
    return_token_stats: bool = False,
    runner_up: bool = False,
    lift: Mapping[str, Any] | OneForward | Uncast | None = None,
    predicts_next: bool | None = None,
    first_position: str = "ignore",
    confidence: float = 0.0,
    num_items_in_batch: float | Tensor | None = None,
    return_dict: bool | None = None,
    **kwargs: Any,
) -> Any:
    name = type(self).__name__
    if labels is None:
        if token_weight is not None or denominator is not None or return_token_stats or lift is not None:
            raise ValueError(
                f"{name}: token_weight, denominator, return_token_stats and lift need labels (B, L), got none."
            )
        return own_forward(*args, **kwargs, **({} if return_dict is None else {"return_dict": return_dict}))

    from lift_kernels.models.output import FusedLossOutput

    options: PatchOptions = options_of(self, OWNER)
    check_known(name, kwargs, options.known)
    refuse_more_outputs(name, kwargs, self.config)
    family = find_model_family(self)
    loss = FusedLoss(
        name,
        labels,
        token_weight=uncast(token_weight),
        denominator=own_denominator(num_items_in_batch) if denominator is None else uncast(denominator),
        denominator_name="num_items_in_batch" if denominator is None else "denominator",
        num_targets=num_targets,
        return_stats=return_token_stats,
        one_forward=one_forward_of(name, uncast(lift)),
        predicts_next=family.predicts_next if predicts_next is None else predicts_next,
        first_position=first_position,
        confidence=confidence,
        runner_up=runner_up,
    )
    loss.check_options()
    _check_positions(name, labels, options.positions, kwargs)
    states = run_backbone(family, self, own_forward, args, kwargs)  # (B, L, D)
    result = loss.compute(family, self, states, options.of_op)
    tokens = None if result.token_stats is None else Uncast((result.token_stats, result.learnability))
    output = FusedLossOutput(loss=result.loss, tokens=tokens)
    if return_dict is None:
        return_dict = getattr(self.config, "return_dict", True)
    return output if return_dict else output.to_tuple()


def _check_positions(name: str, labels: Tensor, positions: Positions, arguments: Mapping[str, Any]) -> None:
    """Raise where rows have more tokens than there are positions, which on a GPU ends in an assertion of the device.

    Positions that the caller numbers lie on the device, and are not looked at.
    """
    if not positions.is_table or positions.limit is None or arguments.get("position_ids") is not None:
        return
    if labels.dim() == 2 and labels.shape[1] > positions.limit:
        raise ValueError(
            f"{name}: rows must have at most {positions.limit} tokens, as many as the model has positions, got labels "
            f"of {labels.shape[1]}."
        )

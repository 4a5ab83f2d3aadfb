"""Give one model instance a forward that computes its loss from hidden states, without logits.

The loss is computed inside the model's own forward, so that wrappers (DistributedDataParallel and the like) see an
ordinary forward and backward.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from lift_kernels.models.families import find_model_family, register_model_family
from lift_kernels.ops.lift_cross_entropy import lift_cross_entropy
from lift_kernels.ops.linear_cross_entropy import linear_cross_entropy
from lift_kernels.ops.linear_token_stats import TokenStats
from lift_kernels.ops.wanted_rows import counted_rows

__all__ = ["apply_lift_kernels", "is_patched", "register_model_family", "remove_lift_kernels"]

_OPTIONS = "_lift_kernels_options"
_INNER_FORWARD = "_lift_kernels_inner_forward"


def apply_lift_kernels(model: nn.Module, *, backend: str = "auto", workspace_bytes: int | None = None) -> nn.Module:
    """Patch this model instance so that calls with labels compute the loss without building logits.

    Afterwards `model(input_ids=..., labels=..., token_weight=None, denominator=None, num_targets=None,
    return_token_stats=False)` returns an output with `.loss`, `.logits` None and, on request, `.token_stats`
    (`TokenStats`, each (B, L)). labels (B, L) are not shifted, -100 is ignored; token_weight (B, L), denominator and
    num_targets as in `linear_cross_entropy` with reduction "mean". A call without labels is unchanged.

    With `lift=dict(timestep=..., num_keep=..., order=..., ...)`, arguments of `lift_cross_entropy`, the loss is that
    one-forward objective instead, and the output has `.learnability` (B, L) too.

    Args:
        model: a BERT or ModernBERT masked LM of transformers, or a family added with `register_model_family`; it may
            already be wrapped (`.module`, or PEFT's `get_base_model()`).
        backend, workspace_bytes: see `linear_cross_entropy`.

    Returns: the same model. Patching twice only renews the options.

    Raises:
        ValueError: the model type is unknown, or its head is not a plain linear layer.
    """
    inner = _innermost(model)
    head = find_model_family(inner).head(inner)
    if type(head) is not nn.Linear:
        raise ValueError(
            f"apply_lift_kernels: the head of {type(inner).__name__} must be a plain nn.Linear, got "
            f"{type(head).__name__}. Keep adapters and quantisation off the head."
        )
    if not is_patched(inner) and "forward" in inner.__dict__:
        inner.__dict__[_INNER_FORWARD] = inner.__dict__["forward"]
    inner.__dict__[_OPTIONS] = {"backend": backend, "workspace_bytes": workspace_bytes}
    inner.forward = types.MethodType(_fused_forward, inner)
    return model


def remove_lift_kernels(model: nn.Module) -> nn.Module:
    """Undo `apply_lift_kernels`; a model that is not patched is left as it is. Returns the same model."""
    inner = _innermost(model)
    if is_patched(inner):
        del inner.__dict__["forward"], inner.__dict__[_OPTIONS]
        if _INNER_FORWARD in inner.__dict__:
            inner.forward = inner.__dict__.pop(_INNER_FORWARD)
    return model


def is_patched(model: nn.Module) -> bool:
    """Whether `apply_lift_kernels` is in force on this model."""
    return _OPTIONS in _innermost(model).__dict__


def _innermost(model: Any) -> Any:
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif isinstance(getattr(model, "module", None), nn.Module) and not hasattr(model, "config"):
            model = model.module
        else:
            return model


def _fused_forward(
    self: Any,
    *args: Any,
    labels: Tensor | None = None,
    token_weight: Tensor | None = None,
    denominator: float | Tensor | None = None,
    num_targets: int | None = None,
    return_token_stats: bool = False,
    lift: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    if labels is None:
        if token_weight is not None or denominator is not None or return_token_stats or lift is not None:
            raise ValueError(
                f"{type(self).__name__}: token_weight, denominator, return_token_stats and lift need labels (B, L), "
                "got none."
            )
        inner_forward = self.__dict__.get(_INNER_FORWARD)
        return inner_forward(*args, **kwargs) if inner_forward else type(self).forward(self, *args, **kwargs)

    from lift_kernels.models.output import FusedLossOutput

    family = find_model_family(self)
    hidden_states = family.backbone(self)(*args, **kwargs)[0]  # (B, L, D)
    if labels.shape != hidden_states.shape[:-1]:
        raise ValueError(
            f"{type(self).__name__}: labels must have shape {tuple(hidden_states.shape[:-1])} to match the hidden "
            f"states, got {tuple(labels.shape)}."
        )
    options = self.__dict__[_OPTIONS]
    head: Any = family.head(self)
    if lift is not None:
        if token_weight is not None:
            raise ValueError(f"{type(self).__name__}: token_weight must be None with lift, which forms the weights.")
        if family.transform is not None:
            hidden_states = family.transform(self)(hidden_states)
        result: Any = lift_cross_entropy(
            hidden_states, head.weight, labels, bias=head.bias, denominator=denominator, num_targets=num_targets,
            return_stats=True, return_learnability=True, **lift, **options,
        )  # fmt: skip
        return FusedLossOutput(loss=result[0], token_stats=result[1], learnability=result[2])
    rows, index = _labelled_rows(rearrange(hidden_states, "b l d -> (b l) d"), labels, num_targets)
    if family.transform is not None:
        rows = family.transform(self)(rows)
    flat_labels, flat_weight = labels.flatten(), None if token_weight is None else token_weight.flatten()
    if index is not None:
        flat_labels = flat_labels[index]
        flat_weight = None if flat_weight is None else flat_weight[index]
        num_targets = index.shape[0]
    result = linear_cross_entropy(
        rows,
        head.weight,
        flat_labels,
        bias=head.bias,
        token_weight=flat_weight,
        denominator=denominator,
        num_targets=num_targets,
        return_stats=return_token_stats,
        **options,
    )
    if isinstance(result, Tensor):
        return FusedLossOutput(loss=result)
    loss, stats = result
    return FusedLossOutput(loss=loss, token_stats=_spread(stats, index, labels))


def _labelled_rows(hidden_states: Tensor, labels: Tensor, num_targets: int | None) -> tuple[Tensor, Tensor | None]:
    """The rows that have a label and their flat indices, or all rows and None while torch.compile traces.

    Dropping rows here already spares the transform; the loss drops them in any case.
    """
    if torch.compiler.is_compiling():
        return hidden_states, None
    is_labelled = labels.flatten() != -100
    if num_targets is not None and labels.device.type != "cpu":
        index = counted_rows(is_labelled, num_targets)
    else:
        index = is_labelled.nonzero()[:, 0]
    return hidden_states[index], index


def _spread(stats: TokenStats, index: Tensor | None, labels: Tensor) -> TokenStats:
    """Put the rows' statistics back in their places (B, L): 0, and argmax -1, where there is no label."""
    if index is None:
        return TokenStats(*(values.view(labels.shape) for values in stats))
    fills = (0, 0, 0, 0, -1)
    return TokenStats(
        *(
            rearrange(
                values.new_full((labels.numel(),), fill).index_copy_(0, index, values), "(b l) -> b l", b=len(labels)
            )
            for values, fill in zip(stats, fills, strict=True)
        )
    )

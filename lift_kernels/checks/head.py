"""Arguments of the ops on a linear head."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.checks.numbers import check_backend, check_int, check_positive
from lift_kernels.checks.tensors import check_dtype, check_floating, check_like, check_shape

_INT64_END = 2**63


def check_linear(op: str, hidden_states: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise unless the three make a linear layer, in one dtype."""
    check_floating(op, "hidden_states", hidden_states)
    if hidden_states.dim() < 1 or weight.dim() != 2 or weight.shape[1] != hidden_states.shape[-1]:
        raise ValueError(
            f"{op}: weight must have shape (V, D) with D = {hidden_states.shape[-1] if hidden_states.dim() else '?'} "
            f"to match hidden_states {tuple(hidden_states.shape)}, got {tuple(weight.shape)}."
        )
    if weight.shape[0] == 0 or weight.shape[1] == 0:
        raise ValueError(
            f"{op}: weight must not be empty, got {tuple(weight.shape)}. A sharded parameter must be gathered first, "
            "as apply_lift_kernels(model) does."
        )
    check_like(op, "weight", weight, hidden_states.dtype)
    if bias is not None:
        check_like(op, "bias", bias, hidden_states.dtype)
        check_shape(op, "bias", bias, (weight.shape[0],), f"weight {tuple(weight.shape)}")


def check_head_options(
    op: str,
    *,
    ignore_index: object,
    logit_scale: object,
    logit_softcap: object,
    workspace_bytes: object,
    backend: object,
    num_targets: object = None,
    exclude_index: object = None,
    vocab_size: int = _INT64_END,
) -> None:
    """Check the options that every op on a head takes; `vocab_size` is V where it is known."""
    check_int(op, "ignore_index", ignore_index, -_INT64_END, _INT64_END)
    if num_targets is not None:
        check_num_targets(op, num_targets)
    check_exclude_index(op, exclude_index, vocab_size)
    check_positive(op, "logit_scale", logit_scale)
    if logit_softcap is not None:
        check_positive(op, "logit_softcap", logit_softcap)
    check_workspace_bytes(op, workspace_bytes)
    check_backend(op, backend)


def check_exclude_index(op: str, exclude_index: object, vocab_size: int = _INT64_END) -> None:
    """Raise unless `exclude_index` is None or an entry of the vocabulary, which has others."""
    if exclude_index is None:
        return
    check_int(op, "exclude_index", exclude_index, 0, vocab_size)
    if vocab_size == 1:
        raise ValueError(f"{op}: exclude_index must be None for a vocabulary of one entry, got {exclude_index}.")


def check_workspace_bytes(op: str, workspace_bytes: object) -> None:
    if workspace_bytes is not None:
        check_int(op, "workspace_bytes", workspace_bytes, 1, _INT64_END)


def check_num_targets(op: str, num_targets: object) -> None:
    check_int(op, "num_targets", num_targets, 0, _INT64_END)


def check_targets(op: str, targets: Tensor, hidden_states: Tensor, name: str = "targets") -> None:
    check_dtype(op, name, targets, torch.int64)
    check_shape(op, name, targets, hidden_states.shape[:-1], f"hidden_states {tuple(hidden_states.shape)}")


def check_count(num_targets: int | None, count: int) -> None:
    """Raise unless `num_targets`, where it is given, is the count; who calls it names the op."""
    if num_targets is not None and num_targets != count:
        raise ValueError(f"num_targets must be the number of targets that are not ignored, {count}, got {num_targets}.")


def check_vocabulary(targets: Tensor, vocab_size: int, name: str = "targets", exclude_index: int | None = None) -> None:
    """Raise unless all `targets` are entries of the vocabulary, and none the excluded one. It reads them back.

    Who calls it names the op.
    """
    if targets.numel() == 0:
        return
    low, high = targets.aminmax()
    if low < 0 or high >= vocab_size:
        raise ValueError(
            f"{name} must lie in [0, {vocab_size}) or equal ignore_index, got values from {low.item()} to "
            f"{high.item()}. Check that the tokenizer and the head's vocabulary agree."
        )
    if exclude_index is not None and (targets == exclude_index).any():
        raise ValueError(
            f"{name} must not equal exclude_index, {exclude_index}, which has no probability. Set such {name} to "
            "ignore_index, or exclude nothing."
        )

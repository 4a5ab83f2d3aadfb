"""Compute a loss inside a call of the head, so that FSDP, ZeRO-3 and offloading gather its weight.

They make a module's parameters whole for the length of a call of that module, and see its gradients only through such a
call. So the head's forward is replaced by one that also takes a function of its weight, and runs that instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lift_kernels.checks.distributed import whole
from lift_kernels.models.instance_forward import is_replaced, replace_forward

# (hidden_states (N, D), weight (V, D), bias (V,) or None) -> the loss, and what wrappers must not touch as an `Uncast`
HeadLoss = Callable[[Tensor, Tensor, Tensor | None], Any]

_OWNER = "apply_lift_kernels: head"


def call_head(head: Any, hidden_states: Tensor, compute_loss: HeadLoss) -> Any:
    """Return compute_loss(hidden_states, weight, bias), run inside a call of `head`, with what PEFT adds to it.

    A LoRA adapter is part of the product: [h, s A(dropout(h))] [W, B]^T = h W^T + s B A(dropout(h)). Such a head costs
    as much as one that is trained.

    Raises:
        ValueError: the head is no linear layer, or an adapter of another kind is on it.
    """
    if hasattr(head, "modules_to_save"):
        return call_head(_chosen_copy(head), hidden_states, compute_loss)
    if hasattr(head, "base_layer"):
        return _call_with_lora(head, hidden_states, compute_loss)
    _check_linear(head)
    _accept_losses(head)
    return head(hidden_states, compute_loss)


def prepare_head(head: Any) -> None:
    """Replace the head's forward by one that can compute a loss, so that nothing is replaced while it is called.

    Raises:
        ValueError: the head is no linear layer, or an adapter of another kind is on it.
    """
    if hasattr(head, "modules_to_save"):
        for module in (head.original_module, *head.modules_to_save.values()):
            prepare_head(module)
    elif hasattr(head, "base_layer"):
        for name in _lora_adapters(head):
            prepare_head(head.lora_B[name])
        prepare_head(head.base_layer)
    else:
        _check_linear(head)
        _accept_losses(head)


def vocab_size_of(head: Any) -> int:
    """Return V without a look at the weight, which may lie in shards."""
    if hasattr(head, "modules_to_save"):
        return vocab_size_of(_chosen_copy(head))
    rows: int = head.num_embeddings if isinstance(head, nn.Embedding) else head.out_features
    return rows


def _call_with_lora(head: Any, hidden_states: Tensor, compute_loss: HeadLoss) -> Any:
    adapters = [] if head.disable_adapters or head.merged else _lora_adapters(head)
    low_ranks = []
    for name in adapters:
        inputs = head.lora_dropout[name](hidden_states.to(head.lora_A[name].weight.dtype))
        low_ranks.append((head.lora_A[name](inputs) * head.scaling[name]).to(hidden_states.dtype))  # (N, r)
    if not adapters:
        return call_head(head.base_layer, hidden_states, compute_loss)

    def inside_calls_of(layers: list[Any], ups: list[Tensor]) -> Any:
        if layers:
            return call_head(layers[0], hidden_states, lambda _, up, __: inside_calls_of(layers[1:], [*ups, up]))
        return call_head(
            head.base_layer,
            torch.cat([*low_ranks, hidden_states], dim=1),
            lambda wide, weight, bias: compute_loss(
                wide, torch.cat([*(up.to(weight.dtype) for up in ups), weight], dim=1), bias
            ),
        )

    return inside_calls_of([head.lora_B[name] for name in adapters], [])


def _lora_adapters(head: Any) -> list[str]:
    """The adapters in force, all plain LoRA."""
    if not hasattr(head, "lora_A"):
        raise _unknown_adapter(head)
    adapters = [name for name in head.active_adapters if name in head.lora_A]
    for name in adapters:
        is_variant = name in getattr(head, "lora_variant", {}) or getattr(head, "use_dora", {}).get(name, False)
        if is_variant or getattr(head.lora_B[name], "bias", None) is not None:
            raise _unknown_adapter(head)
    return adapters


def _unknown_adapter(head: Any) -> ValueError:
    return ValueError(
        f"apply_lift_kernels: the adapter on the head ({type(head).__module__}.{type(head).__name__}) is not a plain "
        "LoRA. Leave the head out of target_modules, or train a copy of it with modules_to_save."
    )


def _chosen_copy(head: Any) -> Any:
    adapters = [name for name in head.active_adapters if name in head.modules_to_save]
    return head.original_module if head.disable_adapters or not adapters else head.modules_to_save[adapters[0]]


def _check_linear(head: Any) -> None:
    # FSDP2 derives a class of its own from that of a module, so the class itself says little.
    forward = type(head).forward if isinstance(head, nn.Module) else None
    if forward not in (nn.Linear.forward, nn.Embedding.forward):
        raise ValueError(
            f"apply_lift_kernels: the head must be a plain nn.Linear (or the tied nn.Embedding), got "
            f"{type(head).__name__}. Keep adapters other than LoRA and quantisation off the head."
        )


def _accept_losses(head: nn.Module) -> None:
    if not is_replaced(head, _OWNER):
        replace_forward(head, _OWNER, _forward_or_loss, beneath_hooks=True)


def _forward_or_loss(
    self: Any, own_forward: Callable[..., Any], inputs: Tensor, compute_loss: HeadLoss | None = None
) -> Any:
    if compute_loss is None:
        return own_forward(inputs)
    bias = getattr(self, "bias", None)
    return compute_loss(inputs, whole(self.weight), None if bias is None else whole(bias))

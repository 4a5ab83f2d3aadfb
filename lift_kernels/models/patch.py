"""Give one model instance a forward that computes its loss from hidden states, without logits.

The loss is computed inside the model's own forward, so that wrappers (DistributedDataParallel and the like) see an
ordinary forward and backward.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from lift_kernels.models.backbone import run_backbone
from lift_kernels.models.families import find_model_family, register_model_family
from lift_kernels.models.fused_loss import FusedLoss
from lift_kernels.models.head import prepare_head
from lift_kernels.models.instance_forward import is_replaced, options_of, replace_forward, restore_forwards
from lift_kernels.models.uncast import Uncast, uncast
from lift_kernels.ops.one_forward import OneForward

__all__ = ["apply_lift_kernels", "is_patched", "register_model_family", "remove_lift_kernels", "unwrap_model"]

_OWNER = "apply_lift_kernels"
_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "module")  # of torch.compile, FSDP1, and DDP or DeepSpeed


def apply_lift_kernels(model: nn.Module, *, backend: str = "auto", workspace_bytes: int | None = None) -> nn.Module:
    """Patch this model instance so that calls with labels compute the loss without building logits.

    Afterwards `model(input_ids=..., labels=..., token_weight=None, denominator=None, num_targets=None,
    return_token_stats=False)` returns an output with `.loss`, `.logits` None and, on request, `.token_stats`
    (`TokenStats`, each (B, L)). labels (B, L) are not shifted, -100 is ignored; token_weight (B, L), denominator and
    num_targets as in `linear_cross_entropy` with reduction "mean"; `num_items_in_batch`, which transformers' Trainer
    passes, is the denominator where none is given. A call without labels is unchanged.

    With `lift=dict(timestep=..., num_keep=..., order=..., ...)`, arguments of `lift_cross_entropy`, or the same as a
    `lift_kernels.models.OneForward`, the loss is that one-forward objective instead, and the output has
    `.learnability` (B, L) too.

    In a family that predicts the next token (Dream), the label of position i is compared with what the hidden state
    of position i - 1 predicts. A label at the first position, which nothing predicts, is ignored and must not be among
    num_targets; with `first_position="zeros"` it adds log V, as in the published code. `predicts_next=False` compares
    without moving, as the published LIFT losses do.

    FSDP2 and DeepSpeed cast floating tensors among the arguments of a forward to their compute dtype: pass
    token_weight, denominator and lift as `lift_kernels.models.Uncast(value)` to keep them exact.

    The head may carry LoRA adapters, whose part is included, or be one of PEFT's modules_to_save. Its parameters are
    read inside a call of the head module, so that FSDP, ZeRO-3 or offloading make them whole as in any forward.

    Args:
        model: LLaDA, LLaDA-MoE, LLaDA 2.x, Dream, a masked LM of transformers (ALBERT, BERT, RoBERTa, XLM-RoBERTa,
            CamemBERT, DistilBERT, ELECTRA, ModernBERT), DiffusionGemma (labels of its canvas), or a family added with
            `register_model_family`; it may already be wrapped (PEFT, DDP, FSDP, DeepSpeed, torch.compile).
        backend, workspace_bytes: see `linear_cross_entropy`.

    Returns: the same model. Patching twice only renews the options.

    Raises:
        ValueError: the model type is unknown, its head is neither a linear layer nor one with a LoRA, or its
            configuration asks for a router loss.
    """
    inner = unwrap_model(model)
    prepare_head(find_model_family(inner).head(inner))
    if getattr(inner.config, "output_router_logits", False):
        raise ValueError(
            f"apply_lift_kernels: the fused loss of {type(inner).__name__} has no router loss: set "
            "config.output_router_logits=False."
        )
    options = {"backend": backend, "workspace_bytes": workspace_bytes}
    replace_forward(inner, _OWNER, _fused_forward, options=options, signature=_signature_like(type(inner).forward))
    return model


def remove_lift_kernels(model: nn.Module) -> nn.Module:
    """Undo `apply_lift_kernels`, and what was built on it: the forwards of Liger's switch and of `LiftLoss`.

    A model that is not patched is left as it is. Gradient checkpointing stays, and so do forwards that others put on
    the model, before the patch or after it. Returns the same model.
    """
    restore_forwards(unwrap_model(model))
    return model


def is_patched(model: nn.Module) -> bool:
    """Return whether `apply_lift_kernels` is in force on this model."""
    return is_replaced(unwrap_model(model), _OWNER)


def unwrap_model(model: Any) -> Any:
    """Return the model that has a head, without the wrappers and adapters around it."""
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
            continue
        children = vars(model).get("_modules", {})
        wrapped = next((children[name] for name in _WRAPPED if children.get(name) is not None), None)
        if wrapped is None or hasattr(vars(model).get("config"), "model_type"):
            return model
        model = wrapped


def _signature_like(original: Callable[..., Any]) -> inspect.Signature:
    """Return that of `original` with what the patch takes: trainers keep the columns that the signature names."""
    own = inspect.signature(_fused_forward).parameters.values()
    taken = list(inspect.signature(original).parameters.values())
    rest = [parameter for parameter in taken if parameter.kind is parameter.VAR_KEYWORD]
    # From it transformers' Trainer concludes that the loss divides by the labels of the whole step, as it does.
    any_keyword = rest or [inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)]
    names = {parameter.name for parameter in taken}
    added = [p for p in own if p.kind is p.KEYWORD_ONLY and p.name not in names]
    return inspect.Signature([*(p for p in taken if p not in rest), *added, *any_keyword])


def _fused_forward(
    self: Any,
    own_forward: Callable[..., Any],
    *args: Any,
    labels: Tensor | None = None,
    token_weight: Tensor | Uncast | None = None,
    denominator: float | Tensor | Uncast | None = None,
    num_targets: int | None = None,
    return_token_stats: bool = False,
    lift: Mapping[str, Any] | OneForward | Uncast | None = None,
    predicts_next: bool | None = None,
    first_position: str = "ignore",
    num_items_in_batch: float | Tensor | None = None,
    **kwargs: Any,
) -> Any:
    if labels is None:
        if token_weight is not None or denominator is not None or return_token_stats or lift is not None:
            raise ValueError(
                f"{type(self).__name__}: token_weight, denominator, return_token_stats and lift need labels (B, L), "
                "got none."
            )
        return own_forward(*args, **kwargs)

    from lift_kernels.models.output import FusedLossOutput

    family = find_model_family(self)
    states = run_backbone(family, self, own_forward, args, kwargs)  # (B, L, D)
    loss = FusedLoss(
        type(self).__name__,
        labels,
        token_weight=uncast(token_weight),
        denominator=num_items_in_batch if denominator is None else uncast(denominator),
        num_targets=num_targets,
        return_stats=return_token_stats,
        one_forward=_one_forward(uncast(lift)),
        predicts_next=family.predicts_next if predicts_next is None else predicts_next,
        first_position=first_position,
    )
    result = loss.compute(family, self, states, options_of(self, _OWNER))
    tokens = None if result.token_stats is None else Uncast((result.token_stats, result.learnability))
    return FusedLossOutput(loss=result.loss, tokens=tokens)


def _one_forward(lift: Mapping[str, Any] | OneForward | None) -> OneForward | None:
    return OneForward(**lift) if isinstance(lift, Mapping) else lift

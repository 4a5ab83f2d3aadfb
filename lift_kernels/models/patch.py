"""Give one model instance a forward that computes its loss from hidden states, without logits.

The loss is computed inside the model's own forward, so that wrappers (DistributedDataParallel and the like) see an
ordinary forward and backward.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lift_kernels.models.families import find_model_family, register_model_family
from lift_kernels.models.fused_loss import FusedLoss
from lift_kernels.models.head import prepare_head, restore_forwards
from lift_kernels.models.hidden_states import hidden_states
from lift_kernels.models.uncast import Uncast, uncast

__all__ = ["apply_lift_kernels", "innermost", "is_patched", "register_model_family", "remove_lift_kernels"]

_OPTIONS = "_lift_kernels_options"
_INNER_FORWARD = "_lift_kernels_inner_forward"
_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "module")  # of torch.compile, FSDP1, and DDP or DeepSpeed


def apply_lift_kernels(model: nn.Module, *, backend: str = "auto", workspace_bytes: int | None = None) -> nn.Module:
    """Patch this model instance so that calls with labels compute the loss without building logits.

    Afterwards `model(input_ids=..., labels=..., token_weight=None, denominator=None, num_targets=None,
    return_token_stats=False)` returns an output with `.loss`, `.logits` None and, on request, `.token_stats`
    (`TokenStats`, each (B, L)). labels (B, L) are not shifted, -100 is ignored; token_weight (B, L), denominator and
    num_targets as in `linear_cross_entropy` with reduction "mean"; `num_items_in_batch`, which transformers' Trainer
    passes, is the denominator where none is given. A call without labels is unchanged.

    With `lift=dict(timestep=..., num_keep=..., order=..., ...)`, arguments of `lift_cross_entropy`, the loss is that
    one-forward objective instead, and the output has `.learnability` (B, L) too.

    In a family that predicts the next token (Dream), the label of position i is compared with what the hidden state
    of position i - 1 predicts. A label at the first position, which nothing predicts, is ignored and must not be among
    num_targets; with `first_position="zeros"` it adds log V, as in the published code. `predicts_next=False` compares
    without moving, as the published LIFT losses do.

    FSDP2 and DeepSpeed cast floating tensors among the arguments of a forward to their compute dtype: pass
    token_weight, denominator and lift as `lift_kernels.models.uncast.Uncast(value)` to keep them exact.

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
    inner = innermost(model)
    prepare_head(find_model_family(inner).head(inner))
    if getattr(inner.config, "output_router_logits", False):
        raise ValueError(
            f"apply_lift_kernels: the fused loss of {type(inner).__name__} has no router loss: set "
            "config.output_router_logits=False."
        )
    if not is_patched(inner) and "forward" in inner.__dict__:
        inner.__dict__[_INNER_FORWARD] = inner.__dict__["forward"]
    inner.__dict__[_OPTIONS] = {"backend": backend, "workspace_bytes": workspace_bytes}
    inner.forward = types.MethodType(_fused_forward_like(type(inner).forward), inner)
    return model


def remove_lift_kernels(model: nn.Module) -> nn.Module:
    """Undo `apply_lift_kernels`; a model that is not patched is left as it is. Returns the same model."""
    inner = innermost(model)
    if is_patched(inner):
        del inner.__dict__["forward"], inner.__dict__[_OPTIONS]
        if _INNER_FORWARD in inner.__dict__:
            inner.forward = inner.__dict__.pop(_INNER_FORWARD)
        restore_forwards(inner)
    return model


def is_patched(model: nn.Module) -> bool:
    """Whether `apply_lift_kernels` is in force on this model."""
    return _OPTIONS in innermost(model).__dict__


def innermost(model: Any) -> Any:
    """The model that has a head, without the wrappers and adapters around it."""
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
            continue
        children = vars(model).get("_modules", {})
        wrapped = next((children[name] for name in _WRAPPED if children.get(name) is not None), None)
        if wrapped is None or hasattr(vars(model).get("config"), "model_type"):
            return model
        model = wrapped


def _fused_forward_like(original: Callable[..., Any]) -> Callable[..., Any]:
    """`_fused_forward`, which takes what `original` takes: trainers keep the columns that the signature names."""

    @functools.wraps(original)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _fused_forward(self, *args, **kwargs)

    own = inspect.signature(_fused_forward).parameters.values()
    taken = list(inspect.signature(original).parameters.values())
    rest = [parameter for parameter in taken if parameter.kind is parameter.VAR_KEYWORD]
    # From it transformers' Trainer concludes that the loss divides by the labels of the whole step, as it does.
    any_keyword = rest or [inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)]
    names = {parameter.name for parameter in taken}
    added = [p for p in own if p.kind is p.KEYWORD_ONLY and p.name not in names]
    parameters = [*(p for p in taken if p not in rest), *added, *any_keyword]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return forward


def _fused_forward(
    self: Any,
    *args: Any,
    labels: Tensor | None = None,
    token_weight: Tensor | Uncast | None = None,
    denominator: float | Tensor | Uncast | None = None,
    num_targets: int | None = None,
    return_token_stats: bool = False,
    lift: dict[str, Any] | Uncast | None = None,
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
        return _own_forward(self, *args, **kwargs)

    from lift_kernels.models.output import FusedLossOutput

    family = find_model_family(self)
    states = hidden_states(family, self, _own_forward, args, kwargs)  # (B, L, D)
    loss = FusedLoss(
        type(self).__name__,
        labels,
        token_weight=uncast(token_weight),
        denominator=num_items_in_batch if denominator is None else uncast(denominator),
        num_targets=num_targets,
        with_stats=return_token_stats,
        lift=uncast(lift),
        predicts_next=family.predicts_next if predicts_next is None else predicts_next,
        first_position=first_position,
    )
    result = loss.compute(family, self, states, self.__dict__[_OPTIONS])
    tokens = None if result.token_stats is None else Uncast((result.token_stats, result.learnability))
    return FusedLossOutput(loss=result.loss, tokens=tokens)


def _own_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
    inner_forward = self.__dict__.get(_INNER_FORWARD)
    return inner_forward(*args, **kwargs) if inner_forward else type(self).forward(self, *args, **kwargs)

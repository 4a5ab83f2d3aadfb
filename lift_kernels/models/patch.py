"""Give one model instance a forward that computes its loss from hidden states, without logits.

The loss is computed inside the model's own forward, so that wrappers (DistributedDataParallel and the like) see an
ordinary forward and backward.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from lift_kernels import checks
from lift_kernels.models.call_arguments import parameter_names
from lift_kernels.models.families import find_model_family, register_model_family
from lift_kernels.models.fused_forward import OWNER, PatchOptions, fused_forward, fused_loss
from lift_kernels.models.head import prepare_head, vocab_size_of
from lift_kernels.models.instance_forward import is_replaced, options_of, replace_forward, restore_forwards
from lift_kernels.models.parts import find_head
from lift_kernels.models.positions import Positions, find_positions

__all__ = ["apply_lift_kernels", "is_patched", "register_model_family", "remove_lift_kernels", "unwrap_model"]

_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "module")  # of torch.compile, FSDP1, and DDP or DeepSpeed


def apply_lift_kernels(
    model: nn.Module,
    *,
    backend: str = "auto",
    workspace_bytes: int | None = None,
    exclude_index: int | None = None,
) -> nn.Module:
    """Patch this model instance so that calls with labels compute the loss without building logits.

    Afterwards `model(input_ids=..., labels=..., token_weight=None, denominator=None, num_targets=None,
    return_token_stats=False)` returns an output with `.loss`, `.logits` None and, on request, `.token_stats`
    (`TokenStats`, each (B, L)); with `return_dict=False` a tuple of those that are not None. Hidden states and
    attentions come from a call without labels only. labels (B, L) are not shifted, -100 is ignored; token_weight
    (B, L), denominator and num_targets as in `linear_cross_entropy` with reduction "mean"; `num_items_in_batch`,
    which transformers' Trainer passes, is the denominator where none is given. A call without labels is unchanged.

    With `lift=dict(timestep=..., num_keep=..., order=..., ...)`, arguments of `lift_cross_entropy`, or the same as a
    `lift_kernels.models.OneForward`, the loss is that one-forward objective instead, and the output has
    `.learnability` (B, L) too.

    In a family that predicts the next token (Dream), the label of position i is compared with what the hidden state
    of position i - 1 predicts. A label at the first position, which nothing predicts, is ignored and must not be among
    num_targets; with `first_position="zeros"` it adds log V, as in the published code. `predicts_next=False` compares
    without moving, as the published LIFT losses do.

    With `runner_up`, in `torch.no_grad()`, the statistics have a sixth entry, as in `linear_token_stats`.

    With `confidence`, a number, that many times the mean entropy of the labelled tokens whose most likely token is
    their label is added to the loss: a penalty on being unsure where one is right.

    FSDP2 and DeepSpeed cast floating tensors among the arguments of a forward to their compute dtype: pass
    token_weight, denominator and lift as `lift_kernels.models.Uncast(value)` to keep them exact.

    The head may carry LoRA adapters, whose part is included, or be one of PEFT's modules_to_save. Its parameters are
    read inside a call of the head module, so that FSDP, ZeRO-3 or offloading make them whole as in any forward.

    Args:
        model: LLaDA, LLaDA-MoE, LLaDA 2.x, Dream, a masked LM of transformers (ALBERT, BERT, RoBERTa, XLM-RoBERTa,
            CamemBERT, DistilBERT, ELECTRA, ModernBERT), DiffusionGemma (labels of its canvas), or a family added with
            `register_model_family`; it may already be wrapped (PEFT, DDP, FSDP, DeepSpeed, torch.compile).
        backend, workspace_bytes, exclude_index: see `linear_cross_entropy`. exclude_index changes the fused loss and
            its statistics, not the logits of a call without labels.

    Returns: the same model. Patching twice only renews the options.

    Raises:
        TypeError: `model` is not an instance of nn.Module.
        ValueError: the model type is unknown, the model has no head, its head is neither a linear layer nor one with a
            LoRA, or its configuration asks for a router loss.
    """
    _check_model("apply_lift_kernels", model)
    checks.check_backend("apply_lift_kernels", backend)
    checks.check_workspace_bytes("apply_lift_kernels", workspace_bytes)
    inner = unwrap_model(model)
    family = find_model_family(inner)
    head = find_head(family, inner)
    prepare_head(head)
    checks.check_exclude_index("apply_lift_kernels", exclude_index, vocab_size_of(head))
    if getattr(inner.config, "output_router_logits", False):
        raise ValueError(
            f"apply_lift_kernels: the fused loss of {type(inner).__name__} has no router loss: set "
            "config.output_router_logits=False."
        )
    own_forward = type(inner).forward
    backbone = own_forward if family.backbone is None else family.backbone(inner).forward
    options = PatchOptions(
        {"backend": backend, "workspace_bytes": workspace_bytes, "exclude_index": exclude_index},
        tuple(inspect.signature(own_forward).parameters)[1:],
        parameter_names(own_forward, backbone),
        find_positions(inner),
    )
    replace_forward(inner, OWNER, fused_forward, options=options, signature=_signature_like(own_forward))
    return model


def remove_lift_kernels(model: nn.Module) -> nn.Module:
    """Undo `apply_lift_kernels`, and what was built on it: the forwards of Liger's switch and of `LiftLoss`.

    A model that is not patched is left as it is. Gradient checkpointing stays, and so do forwards that others put on
    the model, before the patch or after it. Returns the same model.
    """
    _check_model("remove_lift_kernels", model)
    restore_forwards(unwrap_model(model))
    return model


def is_patched(model: nn.Module) -> bool:
    """Return whether `apply_lift_kernels` is in force on this model."""
    return is_replaced(unwrap_model(model), OWNER)


def positions_of(model: Any) -> Positions:
    """Return how a model, wrapped or not, numbers the tokens of a row; of a patched one it is known already."""
    inner = unwrap_model(model)
    if not is_replaced(inner, OWNER):
        return find_positions(inner)
    positions: Positions = options_of(inner, OWNER).positions
    return positions


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


def _check_model(op: str, model: object) -> None:
    if isinstance(model, type):
        raise TypeError(
            f"{op}: model must be a torch.nn.Module, got the class {model.__name__}. Make an instance of it."
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"{op}: model must be a torch.nn.Module, got {type(model).__name__}. Load the model first.")


def _signature_like(original: Callable[..., Any]) -> inspect.Signature:
    """Return that of `original` with what the patch takes: trainers keep the columns that the signature names."""
    own = inspect.signature(fused_loss).parameters.values()
    taken = list(inspect.signature(original).parameters.values())
    rest = [parameter for parameter in taken if parameter.kind is parameter.VAR_KEYWORD]
    # From it transformers' Trainer concludes that the loss divides by the labels of the whole step, as it does.
    any_keyword = rest or [inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)]
    names = {parameter.name for parameter in taken}
    added = [p for p in own if p.kind is p.KEYWORD_ONLY and p.name not in names]
    return inspect.Signature([*(p for p in taken if p not in rest), *added, *any_keyword])

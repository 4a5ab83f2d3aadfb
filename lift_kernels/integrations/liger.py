"""`TrainingArguments(use_liger_kernel=True)` for masked-diffusion language models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from lift_kernels.models.families import known_model_types
from lift_kernels.models.instance_forward import replace_forward
from lift_kernels.models.patch import apply_lift_kernels, unwrap_model

_OWNER = "register_with_liger"


def register_with_liger() -> None:
    """Add the model types that `apply_lift_kernels` knows to Liger Kernel's table, where Liger has none of its own.

    Afterwards `transformers.Trainer` with `TrainingArguments(use_liger_kernel=True)` trains them without logits, from
    `labels` that are not shifted. Call it once, before `train()`; again after `register_model_family`. Evaluation
    builds logits only where a metric asks for them.

    Raises:
        ImportError: liger-kernel is not installed.

    Source: the table is Liger Kernel's `MODEL_TYPE_TO_APPLY_LIGER_FN`, under that name from 0.3.0 to 0.8.5.
    """
    try:
        from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN
    except ImportError as error:
        raise ImportError("register_with_liger needs Liger Kernel: pip install 'liger-kernel>=0.3'.") from error
    for model_type in known_model_types():
        MODEL_TYPE_TO_APPLY_LIGER_FN.setdefault(model_type, apply_to_instance)


def apply_to_instance(
    fused_linear_cross_entropy: bool = True,
    cross_entropy: bool = False,
    rope: bool = False,
    rms_norm: bool = False,
    layer_norm: bool = False,
    swiglu: bool = False,
    geglu: bool = False,
    model: nn.Module | None = None,
) -> None:
    """Patch `model`, as Liger's own functions do; each keyword is a kernel of `liger_kernel_config`.

    Raises:
        ValueError: there is no such kernel here, no instance to patch, or no language-model head on it.
    """
    kernels = {
        "cross_entropy": cross_entropy, "rope": rope, "rms_norm": rms_norm, "layer_norm": layer_norm, "swiglu": swiglu,
        "geglu": geglu,
    }  # fmt: skip
    if asked := [name for name, is_asked in kernels.items() if is_asked]:
        raise ValueError(
            f"lift_kernels has no kernel {', '.join(asked)}, only fused_linear_cross_entropy: leave the others out of "
            "liger_kernel_config."
        )
    if not fused_linear_cross_entropy:
        return
    if model is None:
        raise ValueError("lift_kernels patches a model that exists: pass model=.")
    try:
        apply_lift_kernels(model)
    except ValueError as error:
        raise ValueError(f"{error} A model that is to stay as it is needs use_liger_kernel=False.") from error
    replace_forward(unwrap_model(model), _OWNER, _forward_for_trainer)


def _forward_for_trainer(
    self: Any, fused_forward: Callable[..., Any], *args: Any, skip_logits: bool | None = None, **kwargs: Any
) -> Any:
    is_plain = not any(kwargs.get(name) is not None for name in ("token_weight", "denominator", "lift"))
    is_plain = is_plain and not kwargs.get("return_token_stats")
    if kwargs.get("labels") is not None and is_plain and not self.training and not skip_logits:
        kwargs.pop("num_items_in_batch", None)
        return type(self).forward(self, *args, **kwargs)
    return fused_forward(*args, **kwargs)

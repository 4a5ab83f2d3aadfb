"""Other packages that compute loss and gradients without all logits."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import Case, Inputs
from benchmarks.ops.provider import Step, backward, not_installed


def torch_fused(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    return lambda: backward(_torch_function()(*inputs))


def torch_fused_chunked(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    from torch.nn import LinearCrossEntropyOptions

    return lambda: backward(_torch_function()(*inputs, options=LinearCrossEntropyOptions()))


def missing_torch_fused(config: RunConfig) -> str | None:
    return None if hasattr(F, "linear_cross_entropy") else "needs torch >= 2.13"


def _torch_function() -> Any:
    return F.linear_cross_entropy


def liger(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    from liger_kernel.transformers.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyLoss

    hidden_states, weight, targets = inputs
    criterion = LigerFusedLinearCrossEntropyLoss()
    return lambda: backward(criterion(weight, hidden_states, targets))


def cut_cross_entropy(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    """Its kernels on a GPU, its torch.compile implementation elsewhere."""
    from cut_cross_entropy import linear_cross_entropy

    options = {} if config.on_gpu else {"impl": "torch_compile"}
    return lambda: backward(linear_cross_entropy(*inputs, **options))


def missing_cut_cross_entropy(config: RunConfig) -> str | None:
    return not_installed("cut_cross_entropy")


def quack(case: Case, inputs: Inputs, config: RunConfig) -> Step:
    from quack.linear_cross_entropy import chunked_linear_cross_entropy

    return lambda: backward(chunked_linear_cross_entropy(*inputs))


def missing_on_gpu(module: str, config: RunConfig) -> str | None:
    """Of a package whose kernels run on a GPU only."""
    return not_installed(module) or (None if config.on_gpu else "needs a GPU")

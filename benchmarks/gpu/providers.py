"""The implementations that are timed: each prepares a step for one case, which leaves its gradients on the leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import providers
from benchmarks.gpu.cases import GpuCase
from benchmarks.gpu.setting import Setting
from lift_kernels import linear_cross_entropy, linear_token_stats

# Returns the mean loss, or the five statistics, or nothing.
Step = Callable[[], Any]
Inputs = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Provider:
    prepare: Callable[[GpuCase, Setting, Inputs], Step]
    takes: Callable[[GpuCase], bool] = lambda case: True


@dataclass(frozen=True)
class Ours:
    """Our op. `gate_path`: the path of the accuracy matrix that gates its speed; None: each case's own check is all."""

    gate_path: str | None
    backend: str | None = None
    workspace_bytes: int | None = None

    def prepare(self, case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
        if case.is_statistics:
            return lambda: self.call(linear_token_stats, case, setting, inputs)
        return lambda: _backward(self.call(linear_cross_entropy, case, setting, inputs))

    def takes(self, case: GpuCase) -> bool:
        return True

    def call(self, op: Callable[..., Any], case: GpuCase, setting: Setting, inputs: Inputs, **options: Any) -> Any:
        return op(
            *inputs, num_targets=case.num_targets, backend=self.backend or setting.backend,
            workspace_bytes=self.workspace_bytes, **options,
        )  # fmt: skip


def _matrix_products(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
    """The bound: the products of the rows that are not ignored into memory that is there already."""
    hidden_states, weight, targets = (tensor.detach() for tensor in inputs)
    rows = hidden_states[targets != -100]
    logits = rows.new_empty(rows.shape[0], case.vocab_size)
    grad_rows, grad_weight = torch.empty_like(rows), torch.empty_like(weight) if case.trains_head else None

    def step() -> None:
        torch.mm(rows, weight.t(), out=logits)
        if not case.is_statistics:
            torch.mm(logits, weight, out=grad_rows)
        if grad_weight is not None:
            torch.mm(logits.t(), rows, out=grad_weight)

    return step


def _unfused(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
    function = _unfused_statistics if case.is_statistics else _unfused_loss
    return lambda: _finish(case, function(*inputs))


def _unfused_targets_only(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
    hidden_states, weight, targets = inputs
    index = (targets != -100).nonzero()[:, 0]  # as a collator knows it, so not timed
    gathered = targets[index]
    function = _unfused_statistics if case.is_statistics else _unfused_loss
    return lambda: _finish(case, function(hidden_states[index], weight, gathered))


def _compiled(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
    torch.compiler.reset()  # or the number of shapes seen makes it give up
    function = torch.compile(
        _unfused_statistics if case.is_statistics else _unfused_loss,
        dynamic=False,
        backend="inductor" if setting.on_gpu else "eager",
    )
    return lambda: _finish(case, function(*inputs))


def _unfused_loss(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden_states, weight).float(), targets)


def _unfused_statistics(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    with torch.no_grad():
        logits = F.linear(hidden_states, weight).float()
        lse = logits.logsumexp(-1)
        log_probs = logits - lse[:, None]
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        max_log_prob, argmax = log_probs.max(-1)
        log_prob = log_probs.gather(-1, targets.clamp(min=0)[:, None])[:, 0]
        return log_prob, lse, entropy, max_log_prob, argmax


def _torch_fused(function: providers.Step) -> Callable[..., Step]:
    def prepare(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
        if not hasattr(F, "linear_cross_entropy"):
            raise RuntimeError("needs torch >= 2.13")
        return lambda: function(*inputs)

    return prepare


def _liger(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
    from liger_kernel.transformers.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyLoss

    hidden_states, weight, targets = inputs
    criterion = LigerFusedLinearCrossEntropyLoss()
    return lambda: _backward(criterion(weight, hidden_states, targets))


def _cut_cross_entropy(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
    from cut_cross_entropy import linear_cross_entropy as cut_cross_entropy

    return lambda: _backward(cut_cross_entropy(*inputs))


def _quack(case: GpuCase, setting: Setting, inputs: Inputs) -> Step:
    from quack.linear_cross_entropy import chunked_linear_cross_entropy

    return lambda: _backward(chunked_linear_cross_entropy(*inputs))


def _backward(loss: Tensor) -> Tensor:
    loss.backward()
    return loss.detach()


def _finish(case: GpuCase, result: Any) -> Any:
    return result if case.is_statistics else _backward(result)


def _is_loss(case: GpuCase) -> bool:
    return not case.is_statistics


BOUND, OURS = "bare matrix products", "lift_kernels"
PROVIDERS: dict[str, Provider | Ours] = {
    BOUND: Provider(_matrix_products),
    OURS: Ours(gate_path="default"),
    "lift_kernels, 32 MiB": Ours(gate_path="minimal", workspace_bytes=32 << 20),
    "lift_kernels, torch backend": Ours(gate_path=None, backend="torch"),
    "logits in float32": Provider(_unfused),
    "logits in float32, targets only": Provider(_unfused_targets_only, lambda case: case.ignored > 0),
    "logits in float32, torch.compile": Provider(_compiled, lambda case: case.compiles),
    "F.linear_cross_entropy": Provider(_torch_fused(providers.torch_linear_cross_entropy), _is_loss),
    "F.linear_cross_entropy, chunked": Provider(_torch_fused(providers.torch_linear_cross_entropy_chunked), _is_loss),
    "liger-kernel": Provider(_liger, _is_loss),
    "cut-cross-entropy": Provider(_cut_cross_entropy, _is_loss),
    "quack": Provider(_quack, _is_loss),
}

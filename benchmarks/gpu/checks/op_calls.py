"""How checks call the ops under test, and the workspaces that lead to each path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.run_config import RunConfig
from lift_kernels import linear_cross_entropy, linear_token_stats
from lift_kernels.testing import Head

LEAVES = ("hidden_states", "weight", "bias")
# What the op is given besides; with a bias but for "plain".
VARIANTS: dict[str, dict[str, float]] = {
    "plain": {},
    "bias-scale": {"logit_scale": 0.4},
    "bias-softcap": {"logit_softcap": 2.5, "logit_scale": 1.5},
}
Shape = tuple[int, int, int]  # N, D, V


def call_loss(head: Head, backend: str, *, has_bias: bool = True, **options: Any) -> Any:
    """Call `linear_cross_entropy` on `head`."""
    bias = head.bias if has_bias else None
    return linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=bias, backend=backend, **options)


def call_stats(head: Head, targets: Tensor | None, backend: str, *, has_bias: bool = True, **options: Any) -> Any:
    """Call `linear_token_stats` on the hidden states and head of `head`."""
    bias = head.bias if has_bias else None
    return linear_token_stats(head.hidden_states, head.weight, targets, bias=bias, backend=backend, **options)


def loss_and_gradients(head: Head, config: RunConfig, names: tuple[str, ...] = LEAVES, **options: Any) -> list[Tensor]:
    """Return the weighted loss, then the gradients of the leaves named."""
    leaves = head.trainable(*names)
    loss = call_loss(leaves, config.backend, token_weight=head.token_weight, **options)
    return [loss.detach(), *torch.autograd.grad(loss.sum(), [getattr(leaves, name) for name in names])]


def compare_all(result: CheckResult, label: str, ours: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Compare each output to the last bit."""
    for number, (value, other) in enumerate(zip(ours, expected, strict=True)):
        result.compare_exactly(f"{label}, output {number}", value, other)


def least_workspace(head: Head, backend: str) -> int:
    """Return the least bytes that work, as the op's own error says: with them the minimal-memory path must run."""
    try:
        call_loss(head.trainable("hidden_states"), backend, workspace_bytes=1)
    except ValueError as error:
        found = re.search(r"must be at least (\d+)", str(error))
        if found is None:
            raise
        return int(found.group(1))
    return 1


def workspace_of(path: str, head: Head, config: RunConfig) -> int | None:
    """Return the bytes that lead to `path`: "default", "minimal", or a number of them."""
    if path == "default":
        return None
    return least_workspace(head, config.backend) if path == "minimal" else int(path)

"""Checks of `lift_cross_entropy`: the choice or the weights of tokens, then the loss and gradients that they give."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.checks.op_calls import workspace_of
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.truth import logit_sizes, random_head, reference_losses
from lift_kernels import lift_cross_entropy, reference, select_tokens

_SEED = 7


def lift_objective(
    config: RunConfig, *, shape: tuple[int, int, int, int], dtype: torch.dtype, path: str, learnability: str
) -> CheckResult:
    """Shape (B, L, D, V); a frozen and a trained head."""
    num_rows, length, width, vocab_size = shape
    head = random_head(num_rows * length, width, vocab_size, dtype, config.device)
    labels = head.targets.view(num_rows, length)
    is_masked = labels != -100
    timestep = torch.linspace(0.1, 0.9, num_rows, device=config.device)
    num_keep, order = is_masked.sum(1) // 2, torch.arange(num_rows, device=config.device) % 3 - 1
    count = int(is_masked.sum())
    result, size = CheckResult(), logit_sizes(head).nll
    for names in (("hidden_states",), ("hidden_states", "weight", "bias")):
        leaves, label = head.trainable(*names), "+".join(names)
        found: Any = lift_cross_entropy(
            leaves.hidden_states.view(num_rows, length, width), leaves.weight, labels, timestep, num_keep, order,
            learnability=learnability, bias=leaves.bias, seed=_SEED, num_targets=count, return_stats=True,
            return_learnability=True, backend=config.backend, workspace_bytes=workspace_of(path, head, config),
        )  # fmt: skip
        loss, stats, chosen = found
        loss.backward()

        truth = reference_losses(head.double(), (), torch.ones_like(head.token_weight).double())
        result.compare_nats(f"{label} log_prob", stats.log_prob.flatten(), -truth.nll, logit_size=size)
        if learnability == "hard":
            # By our own scores: two tokens may be nearer to each other than float32 tells apart.
            scores = [tensor.cpu() for tensor in (stats.log_prob, is_masked, num_keep, order)]
            result.compare_exactly(
                f"{label} kept tokens", chosen.cpu(), select_tokens(*scores, seed=_SEED, backend="torch")
            )
        else:
            expected = _soft(truth.nll.view(labels.shape), is_masked, num_keep, timestep)
            error = (chosen.double() - expected).abs().max().item()
            result.expect(f"{label} learnability", error <= 1e-3 * expected.max().item(), f"off by {error:.3g}")

        factor = (chosen.float() / timestep[:, None] / count).flatten()
        truth = reference_losses(head.double(), names, factor.double())
        plain = reference_losses(head, names, factor)
        true_loss = (truth.nll * factor).sum()
        result.compare_nats(f"{label} loss", loss.detach(), true_loss, logit_size=(size * factor).sum())
        for name in names:
            ours = getattr(leaves, name).grad
            result.compare_gradient(f"{label} gradient of {name}", ours, truth.gradients[name], plain.gradients[name])
    return result


def _soft(nll: Tensor, is_masked: Tensor, num_keep: Tensor, timestep: Tensor) -> Tensor:
    expected = torch.zeros_like(nll)
    for b, masked in enumerate(is_masked):
        if masked.any():
            expected[b, masked] = reference.soft_learnability(-nll[b, masked], int(num_keep[b]), float(timestep[b]))
    return expected

"""Checks of values against float64: losses, gradients and statistics, where implementations are known to go wrong."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.findings import Findings, relative_error
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.truth import random_head, reference_losses, reference_stats
from lift_kernels import linear_cross_entropy, linear_token_stats, reference
from lift_kernels.testing import Head

LEAVES = ("hidden_states", "weight", "bias")
# What the op is given besides; with a bias but for "plain".
VARIANTS: dict[str, dict[str, float]] = {
    "plain": {},
    "bias-scale": {"logit_scale": 0.4},
    "bias-softcap": {"logit_softcap": 2.5, "logit_scale": 1.5},
}
Shape = tuple[int, int, int]  # N, D, V


def least_workspace(head: Head, backend: str) -> int:
    """The least bytes that work, as the op's own error says: with them the minimal-memory path must run."""
    try:
        call(head.trainable("hidden_states"), backend, workspace_bytes=1)
    except ValueError as error:
        found = re.search(r"must be at least (\d+)", str(error))
        if found is None:
            raise
        return int(found.group(1))
    return 1


def workspace(path: str, head: Head, setting: Setting) -> int | None:
    """Bytes that lead to `path`: "default", "minimal", or a number of them."""
    if path == "default":
        return None
    return least_workspace(head, setting.backend) if path == "minimal" else int(path)


def call(head: Head, backend: str, *, has_bias: bool = True, **options: Any) -> Tensor:
    bias = head.bias if has_bias else None
    return linear_cross_entropy(head.hidden_states, head.weight, head.targets, bias=bias, backend=backend, **options)


def losses_and_gradients(
    setting: Setting,
    *,
    shape: Shape,
    dtype: torch.dtype,
    path: str,
    variant: str = "plain",
    names: tuple[tuple[str, ...], ...] = (("hidden_states",), ("weight", "bias"), LEAVES),
    reductions: tuple[str, ...] = ("none", "sum", "mean"),
) -> Findings:
    """Every set of leaves, every reduction, weights of 1e-3 to 1e3 or none, the number of targets given or not."""
    head = random_head(*shape, dtype, setting.device)
    has_bias = variant != "plain"
    findings = Findings()
    for leaves in names:
        wanted = tuple(name for name in leaves if has_bias or name != "bias")
        for number, reduction in enumerate(reductions):
            _compare_losses(
                findings, setting, head, wanted, reduction, workspace_bytes=workspace(path, head, setting),
                is_weighted=has_bias or reduction != "mean", gives_count=number % 2 == 1, has_bias=has_bias,
                **VARIANTS[variant],
            )  # fmt: skip
    return findings


def _compare_losses(
    findings: Findings,
    setting: Setting,
    head: Head,
    names: tuple[str, ...],
    reduction: str,
    *,
    workspace_bytes: int | None,
    is_weighted: bool,
    gives_count: bool,
    **options: Any,
) -> None:
    """`options` reach both the reference and our op."""
    count = int((head.targets != -100).sum())
    weight = head.token_weight if is_weighted else torch.ones_like(head.token_weight)
    upstream = torch.randn_like(weight) if reduction == "none" else torch.ones_like(weight)
    factor = weight * upstream / (max(count, 1) if reduction == "mean" else 1)
    truth = reference_losses(head.double(), names, factor.double(), **options)
    plain = reference_losses(head, names, factor, **options)

    leaves = head.trainable(*names)
    loss = call(
        leaves, setting.backend, token_weight=weight if is_weighted else None, reduction=reduction,
        num_targets=count if gives_count else None, workspace_bytes=workspace_bytes, **options,
    )  # fmt: skip
    loss.backward(upstream if reduction == "none" else None)

    label = f"{'+'.join(names)} {reduction}"
    true_loss = truth.nll * weight
    if reduction != "none":
        true_loss = true_loss.sum() / (max(count, 1) if reduction == "mean" else 1)
    findings.nats(f"{label} loss", loss.detach(), true_loss)
    for name in names:
        ours = getattr(leaves, name).grad
        findings.gradient(f"{label} gradient of {name}", ours, truth.gradients[name], plain.gradients[name])
        findings.holds(f"{label} gradient of {name}", ours.dtype == head.weight.dtype, f"has dtype {ours.dtype}")


def statistics(setting: Setting, *, shape: Shape, dtype: torch.dtype, path: str, variant: str = "plain") -> Findings:
    head = random_head(*shape, dtype, setting.device)
    findings = Findings()
    for targets in (head.targets, None):
        _compare_statistics(
            findings, setting, head, targets, workspace(path, head, setting), has_bias=variant != "plain",
            **VARIANTS[variant],
        )  # fmt: skip
    return findings


def _compare_statistics(
    findings: Findings,
    setting: Setting,
    head: Head,
    targets: Tensor | None,
    workspace_bytes: int | None,
    *,
    has_bias: bool = True,
    rtol: float = 1e-6,
    **options: Any,
) -> None:
    wide = head.double()
    bias, wide_bias = (head.bias, wide.bias) if has_bias else (None, None)
    ours = linear_token_stats(
        head.hidden_states, head.weight, targets, bias=bias, backend=setting.backend, workspace_bytes=workspace_bytes,
        **options,
    )  # fmt: skip
    truth = reference_stats(wide, targets, has_bias=has_bias, **options)
    for name, value, true in zip(ours._fields[:4], ours[:4], truth[:4], strict=True):
        findings.nats(name, value, true, rtol=rtol)
    is_target = torch.ones_like(ours.argmax, dtype=torch.bool) if targets is None else targets != -100
    findings.equal("argmax of ignored rows", ours.argmax[~is_target], torch.full_like(ours.argmax[~is_target], -1))
    # Two logits may be nearer to each other than float32 tells apart: the token must be as likely as the true one.
    for rows in is_target.nonzero()[:, 0].split(256):
        logits = reference.linear_logits(wide.hidden_states[rows], wide.weight, wide_bias, **options)
        chosen = ours.argmax[rows, None].clamp(0, logits.shape[1] - 1)
        gap = logits.amax(1) - logits.gather(1, chosen)[:, 0]
        findings.nats("logit of argmax", gap, torch.zeros_like(gap))


def ties(setting: Setting, *, vocab_size: int, path: str) -> Findings:
    """The lowest of equally likely tokens wins, also across blocks."""
    head = random_head(3, 64, vocab_size, torch.bfloat16, setting.device, ignored=0)
    weight = torch.zeros_like(head.weight)
    tied = [7, 8, vocab_size - 1]
    weight[tied] = 1.0
    hidden_states = torch.ones_like(head.hidden_states)
    stats = linear_token_stats(
        hidden_states, weight, backend=setting.backend, workspace_bytes=workspace(path, head, setting)
    )
    findings = Findings()
    findings.equal("argmax", stats.argmax, torch.full_like(stats.argmax, tied[0]))
    return findings


def far_below_zero(setting: Setting, *, shape: Shape, dtype: torch.dtype, path: str) -> Findings:
    """All logits near -200: a column beyond the vocabulary, whose logit is 0, would take the whole probability."""
    head = random_head(*shape, dtype, setting.device)
    head.hidden_states[:, 0], head.weight[:, 0] = 10.0, -20.0
    return _extreme_logits(setting, head, path, lambda nll: head.targets != -100)


def confident(setting: Setting, *, shape: Shape, dtype: torch.dtype, path: str) -> Findings:
    """p_gold -> 1, where probabilities rounded to the working dtype lose the gradient."""
    head = random_head(*shape, dtype, setting.device, ignored=0)
    lengths = torch.linspace(5, 30, shape[0], device=setting.device)
    gold = head.weight[head.targets].float()
    head = replace(head, hidden_states=(gold / gold.square().sum(1, keepdim=True) * lengths[:, None]).to(dtype))
    # Nearer to 1, float32 logits of up to 30 no longer tell how far.
    return _extreme_logits(setting, head, path, lambda nll: -torch.expm1(-nll) > 1e-3)


def _extreme_logits(setting: Setting, head: Head, path: str, is_judged: Callable[[Tensor], Tensor]) -> Findings:
    """Losses, statistics, and each judged row's gradient by itself.

    Large logits cost digits that the plain implementation, which works relative to the largest one, may keep: so the
    error is compared with the gradient and not with the plain error. Column 0, where such logits come from, is left
    out: its gradient is a small difference of large numbers.
    """
    names, findings = LEAVES[:2], Findings()
    workspace_bytes, ones = workspace(path, head, setting), torch.ones_like(head.token_weight)
    truth = reference_losses(head.double(), names, ones.double(), has_bias=False)
    allowed = 4 * torch.finfo(head.weight.dtype).eps + 1e-2
    true = truth.gradients["hidden_states"][is_judged(truth.nll), 1:]
    for reduction, wanted in itertools.product(("none", "sum"), (names[:1], names)):
        leaves, label = head.trainable(*wanted), f"{'+'.join(wanted)} {reduction}"
        loss = call(leaves, setting.backend, has_bias=False, reduction=reduction, workspace_bytes=workspace_bytes)
        loss.sum().backward()
        if reduction == "none":
            findings.nats(f"{label} loss", loss.detach(), truth.nll, rtol=1e-5)
        ours = leaves.hidden_states.grad[is_judged(truth.nll), 1:].double()
        errors = {"a row": ((ours - true).norm(dim=1) / true.norm(dim=1)).max().item()}
        if "weight" in wanted:
            errors["weight"] = relative_error(leaves.weight.grad[:, 1:], truth.gradients["weight"][:, 1:])
        for name, error in errors.items():
            findings.holds(
                f"{label} gradient of {name}", error <= allowed, f"relative error {error:.3g}, allowed {allowed:.3g}"
            )
        findings.note(
            worst_row_gradient_error=max(errors["a row"], findings.numbers.get("worst_row_gradient_error", 0))
        )
    _compare_statistics(findings, setting, head, head.targets, workspace_bytes, has_bias=False, rtol=1e-5)
    return findings


def numbers_of_rows(setting: Setting, *, width: int, vocab_size: int, path: str) -> Findings:
    """N = 0, 1, around a block of 128, and rows that are all ignored; the number of targets given and not."""
    findings = Findings()
    for num_rows, ignored in ((0, 0.0), (1, 0.0), (127, 0.25), (129, 0.25), (129, 2.0)):
        head = random_head(num_rows, width, vocab_size, torch.bfloat16, setting.device, ignored=ignored)
        for reduction in ("none", "sum", "mean"):
            for gives_count in (False, True):
                _compare_losses(
                    findings, setting, head, LEAVES, reduction, workspace_bytes=workspace(path, head, setting),
                    is_weighted=True, gives_count=gives_count,
                )  # fmt: skip
        _compare_statistics(findings, setting, head, head.targets, workspace(path, head, setting))
    return findings


def beyond_int32(setting: Setting, *, shape: Shape, path: str) -> Findings:
    """N V > 2^31: offsets in 32 bits would wrap. All rows are compared; the last ones again by themselves."""
    head = random_head(*shape, torch.bfloat16, setting.device, ignored=0)
    findings = Findings()
    ones = torch.ones_like(head.token_weight)
    names = ("hidden_states", "weight")
    truth = reference_losses(head.double(), names, ones.double(), has_bias=False)
    plain = reference_losses(head, names, ones, has_bias=False)
    for wanted in (names[:1], names):
        leaves = head.trainable(*wanted)
        loss, stats = call(
            leaves, setting.backend, has_bias=False, reduction="sum", num_targets=shape[0], return_stats=True,
            workspace_bytes=workspace(path, head, setting),
        )  # fmt: skip
        loss.backward()
        label = "+".join(wanted)
        findings.nats(f"{label} log_prob", stats.log_prob, -truth.nll)
        for name in wanted:
            ours = getattr(leaves, name).grad
            findings.gradient(f"{label} gradient of {name}", ours, truth.gradients[name], plain.gradients[name])
        last = slice(-64, None)
        true, rough = (source.gradients["hidden_states"][last] for source in (truth, plain))
        findings.gradient(f"{label} last rows", leaves.hidden_states.grad[last], true, rough)
    return findings

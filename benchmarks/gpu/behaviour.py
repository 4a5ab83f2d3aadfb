"""Checks of how the ops behave on a device: races, stale memory, graphs, synchronisation, tracing, draws, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.findings import Findings
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.truth import random_head
from benchmarks.gpu.values import LEAVES, Shape, call, workspace
from lift_kernels import corrupt_tokens, linear_token_stats, select_tokens
from lift_kernels.testing import Head

MIB = 1 << 20


def _step(head: Head, setting: Setting, names: tuple[str, ...] = LEAVES, **options: Any) -> list[Tensor]:
    """Loss, then the gradients of the leaves named."""
    leaves = head.trainable(*names)
    loss = call(leaves, setting.backend, token_weight=head.token_weight, **options)
    return [loss.detach(), *torch.autograd.grad(loss.sum(), [getattr(leaves, name) for name in names])]


def _all_equal(findings: Findings, label: str, ours: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for number, (value, other) in enumerate(zip(ours, expected, strict=True)):
        findings.equal(f"{label}, output {number}", value, other)


def repeats(setting: Setting, *, shape: Shape, path: str, times: int = 20) -> Findings:
    """A race would show as a bit that differs between equal calls."""
    head = random_head(*shape, torch.bfloat16, setting.device)
    findings = Findings()
    for reduction in ("sum", "none"):
        options = {"reduction": reduction, "workspace_bytes": workspace(path, head, setting)}
        first = _step(head, setting, **options)
        for number in range(1, times):
            _all_equal(findings, f"{reduction}, call {number}", _step(head, setting, **options), first)
    return findings


def poisoned_memory(setting: Setting, *, shape: Shape, path: str) -> Findings:
    """What is read without having been written shows where the allocator hands out memory full of nan."""
    head = random_head(*shape, torch.bfloat16, setting.device)
    findings = Findings()
    for reduction in ("sum", "none"):
        options = {"reduction": reduction, "workspace_bytes": workspace(path, head, setting)}
        clean = _step(head, setting, **options)
        findings.holds(reduction, all(bool(value.isfinite().all()) for value in clean), "not all finite")
        _poison(setting)
        _all_equal(findings, reduction, _step(head, setting, **options), clean)
    sizes = {"backend": setting.backend, "workspace_bytes": workspace(path, head, setting)}
    clean_stats = linear_token_stats(head.hidden_states, head.weight, head.targets, **sizes)
    _poison(setting)
    _all_equal(
        findings, "statistics", linear_token_stats(head.hidden_states, head.weight, head.targets, **sizes), clean_stats
    )
    return findings


def _poison(setting: Setting) -> None:
    """Leave freed blocks of every size behind whose bits are all ones: nan in every floating dtype, else -1."""
    if not setting.on_gpu:
        return
    torch.cuda.empty_cache()
    sizes = [2048 * MIB, *[64 * MIB] * 4, *[2 * MIB] * 16, *[512 << 10] * 32, *[4 << 10] * 256]
    blocks = [torch.full((size,), -1, dtype=torch.int8, device=setting.device) for size in sizes]
    del blocks


def retained_graph(setting: Setting, *, shape: Shape, path: str) -> Findings:
    head = random_head(*shape, torch.bfloat16, setting.device)
    findings = Findings()
    for reduction in ("sum", "none"):
        leaves = head.trainable(*LEAVES)
        loss = call(leaves, setting.backend, reduction=reduction, workspace_bytes=workspace(path, head, setting)).sum()
        seen = []
        for _ in range(3):
            loss.backward(retain_graph=True)
            seen.append([gradient.clone() for gradient in leaves.grads(*LEAVES)])
            for gradient in leaves.grads(*LEAVES):
                gradient.zero_()  # in place, as optimisers do
        for again in seen[1:]:
            _all_equal(findings, reduction, again, seen[0])
        findings.holds(reduction, bool(seen[0][1].any()), "all gradients are 0")
    return findings


def compiled(setting: Setting, *, shape: Shape) -> Findings:
    """torch.compile(fullgraph=True), with the backend that traces autograd but generates no code."""
    head = random_head(*shape, torch.bfloat16, setting.device)
    findings = Findings()
    count = int((head.targets != -100).sum())

    def step(hidden_states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        loss, stats = call(
            replace(head, hidden_states=hidden_states, weight=weight, bias=bias), setting.backend,
            token_weight=head.token_weight, num_targets=count, return_stats=True,
        )  # fmt: skip
        return loss * 3 + stats.entropy.mean()

    torch.compiler.reset()
    seen = []
    for function in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        leaves = head.trainable(*LEAVES)
        arguments = [getattr(leaves, name) for name in LEAVES]
        loss = function(*arguments)
        seen.append([loss.detach(), *torch.autograd.grad(loss, arguments)])
    for eager, traced in zip(*seen, strict=True):
        tolerance = torch.finfo(eager.dtype).eps * eager.abs().max().item()
        difference = (eager.double() - traced.double()).abs().max().item()
        findings.holds("compiled", difference <= tolerance, f"differs from eager by {difference:.3g}")
    return findings


def autocast(setting: Setting, *, shape: Shape) -> Findings:
    head = random_head(*shape, torch.float32, setting.device)
    with torch.autocast(setting.device.type, dtype=torch.bfloat16):
        loss, *gradients = _step(head, setting)
    rounded = replace(head, **{name: getattr(head, name).bfloat16() for name in LEAVES})
    expected_loss, *expected = _step(rounded, setting)
    findings = Findings()
    findings.equal("loss", loss, expected_loss)
    _all_equal(findings, "gradients", gradients, [gradient.float() for gradient in expected])
    return findings


def captured_graph(setting: Setting, *, shape: Shape, path: str) -> Findings:
    """Forward and backward as a CUDA graph, replayed on contents that it has not seen."""
    findings = Findings()
    for reduction in ("sum", "none"):
        first, second = (random_head(*shape, torch.bfloat16, setting.device, seed=seed, ignored=0) for seed in (0, 1))
        count = shape[0] * 3 // 4  # the same for both, as it is part of the graph
        for head in (first, second):
            head.targets[count:] = -100
        options = {
            "reduction": reduction, "num_targets": count, "workspace_bytes": workspace(path, first, setting),
        }  # fmt: skip
        expected = _step(second, setting, **options)
        leaves = first.trainable(*LEAVES)

        def step(leaves: Head = leaves, options: dict[str, Any] = options) -> list[Tensor]:
            loss = call(leaves, setting.backend, token_weight=leaves.token_weight, **options)
            return [loss.detach(), *torch.autograd.grad(loss.sum(), [getattr(leaves, name) for name in LEAVES])]

        outputs, replay = capture(step)
        with torch.no_grad():
            for name in (*LEAVES, "targets", "token_weight"):
                getattr(leaves, name).copy_(getattr(second, name))
        replay()
        _all_equal(findings, reduction, outputs, expected)
    return findings


def capture(step: Callable[[], list[Tensor]]) -> tuple[list[Tensor], Callable[[], None]]:
    """The outputs of `step` as recorded in a CUDA graph, and what computes them anew."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = step()
    return outputs, graph.replay


def no_synchronisation(setting: Setting, *, shape: Shape, path: str) -> Findings:
    head = random_head(*shape, torch.bfloat16, setting.device)
    count = int((head.targets != -100).sum())
    findings = Findings()
    for reduction in ("sum", "mean", "none"):
        options = {
            "reduction": reduction, "num_targets": count, "workspace_bytes": workspace(path, head, setting),
        }  # fmt: skip
        _step(head, setting, **options)  # compiles
        setting.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            _step(head, setting, **options)
        except RuntimeError as error:
            findings.holds(reduction, False, str(error).partition("\n")[0])
        else:
            findings.holds(reduction, True, "")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return findings


def same_corruption(setting: Setting, *, num_rows: int, length: int) -> Findings:
    """Bit-equal to the torch backend on a CPU, for every form of the arguments."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, (num_rows, length), generator=generator)
    row_ids = torch.randint(-(2**62), 2**62, (num_rows,), generator=generator)
    maskable = torch.rand(ids.shape, generator=generator) < 0.8
    findings = Findings()
    for seed in (0, 7, 2**63 - 1):
        for mask_prob in (torch.rand(num_rows, generator=generator), torch.rand(ids.shape, generator=generator)):
            for optional in ({}, {"maskable": maskable, "row_ids": row_ids}):
                tensors = {"input_ids": ids, "mask_prob": mask_prob, **optional}
                fixed = {"mask_token_id": 1000, "seed": seed}
                expected = corrupt_tokens(**tensors, **fixed, backend="torch")
                moved = {name: tensor.to(setting.device) for name, tensor in tensors.items()}
                ours = corrupt_tokens(**moved, **fixed, backend=setting.backend)
                _all_equal(findings, f"seed {seed}", [value.cpu() for value in ours], list(expected))
    return findings


def same_selection(setting: Setting, *, num_rows: int, length: int) -> Findings:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(num_rows, length, generator=generator).round(decimals=1)  # many ties
    score[:, 0], score[:, 1], score[:, 2] = torch.nan, -0.0, torch.inf
    is_masked = torch.rand(score.shape, generator=generator) < 0.6
    num_masked = is_masked.sum(1)
    order = torch.arange(num_rows) % 3 - 1
    row_ids = torch.randint(-(2**62), 2**62, (num_rows,), generator=generator)
    findings = Findings()
    for dtype in (torch.float32, torch.bfloat16):
        for num_keep in (num_masked // 2, num_masked, torch.zeros_like(num_masked)):
            for optional in ({}, {"row_ids": row_ids}):
                tensors = {
                    "score": score.to(dtype), "is_masked": is_masked, "num_keep": num_keep, "order": order, **optional,
                }  # fmt: skip
                expected = select_tokens(**tensors, seed=3, backend="torch")
                moved = {name: tensor.to(setting.device) for name, tensor in tensors.items()}
                ours = select_tokens(**moved, seed=3, backend=setting.backend)
                findings.equal(str(dtype), ours.cpu(), expected)
    return findings


def peak_memory(
    setting: Setting,
    *,
    shape: Shape,
    workspace_bytes: int | None,
    names: tuple[str, ...],
    float32_sums: tuple[str, ...] = (),
) -> Findings:
    """Extra memory at its peak: the workspace, the gradients asked for, and float32 sums of those of `float32_sums`.

    The backward pass returns scaled copies of the gradients, when the workspace is free again.
    """
    head = random_head(*shape, torch.bfloat16, setting.device, ignored=0)
    leaves = replace(head, **{name: getattr(head, name).requires_grad_(name in names) for name in LEAVES})
    wanted = [getattr(leaves, name) for name in names]
    options = {"reduction": "mean", "num_targets": shape[0], "has_bias": False, "workspace_bytes": workspace_bytes}

    def forward() -> Tensor:
        return call(leaves, setting.backend, **options)

    def step() -> Sequence[Tensor]:
        return torch.autograd.grad(forward(), wanted)

    step()  # compiles, and gives cuBLAS its own workspace
    gradients = sum(leaf.numel() * leaf.element_size() for leaf in wanted)
    sums = sum(4 * getattr(leaves, name).numel() for name in float32_sums)
    small = 16 * MIB  # statistics of the rows, and rounding of the allocator
    workspace_limit = 1024 * MIB if workspace_bytes is None else workspace_bytes
    allowed_forward = workspace_limit + gradients + sums + small
    allowed_step = max(allowed_forward, 2 * gradients + small)
    forward_extra, step_extra = extra_bytes(forward), extra_bytes(step)
    findings = Findings()
    findings.note(
        forward_extra_mib=forward_extra / MIB, step_extra_mib=step_extra / MIB, gradients_mib=gradients / MIB,
        beyond_gradients_mib=(forward_extra - gradients) / MIB, workspace_mib=workspace_limit / MIB,
    )  # fmt: skip
    for label, extra, allowed in (("forward", forward_extra, allowed_forward), ("step", step_extra, allowed_step)):
        findings.holds(label, extra <= allowed, f"{extra / MIB:.0f} MiB extra, allowed {allowed / MIB:.0f}")
    return findings


def extra_bytes(step: Callable[[], Any]) -> int:
    """Allocated at the peak of `step` beyond what was allocated before; its result counts."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = step()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    del result
    return peak - before

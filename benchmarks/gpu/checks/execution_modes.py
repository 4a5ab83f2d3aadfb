"""The ops under torch.compile, autocast and a CUDA graph, and without synchronising with the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.checks.op_calls import LEAVES, Shape, call_loss, compare_all, loss_and_gradients, workspace_of
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.truth import random_head
from lift_kernels.testing import Head


def compiled(config: RunConfig, *, shape: Shape) -> CheckResult:
    """torch.compile(fullgraph=True), with the backend that traces autograd but generates no code."""
    head = random_head(*shape, torch.bfloat16, config.device)
    result = CheckResult()
    count = int((head.targets != -100).sum())

    def step(hidden_states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        loss, stats = call_loss(
            replace(head, hidden_states=hidden_states, weight=weight, bias=bias), config.backend,
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
        result.expect("compiled", difference <= tolerance, f"differs from eager by {difference:.3g}")
    return result


def autocast(config: RunConfig, *, shape: Shape) -> CheckResult:
    """Autocast of float32 inputs gives what bfloat16 inputs give."""
    head = random_head(*shape, torch.float32, config.device)
    with torch.autocast(config.device.type, dtype=torch.bfloat16):
        loss, *gradients = loss_and_gradients(head, config)
    rounded = replace(head, **{name: getattr(head, name).bfloat16() for name in LEAVES})
    expected_loss, *expected = loss_and_gradients(rounded, config)
    result = CheckResult()
    result.compare_exactly("loss", loss, expected_loss)
    compare_all(result, "gradients", gradients, [gradient.float() for gradient in expected])
    return result


def captured_graph(config: RunConfig, *, shape: Shape, path: str) -> CheckResult:
    """Forward and backward as a CUDA graph, replayed on contents that it has not seen."""
    result = CheckResult()
    for reduction in ("sum", "none"):
        first, second = (random_head(*shape, torch.bfloat16, config.device, seed=seed, ignored=0) for seed in (0, 1))
        count = shape[0] * 3 // 4  # the same for both, as it is part of the graph
        for head in (first, second):
            head.targets[count:] = -100
        options: dict[str, Any] = {
            "reduction": reduction, "num_targets": count, "workspace_bytes": workspace_of(path, first, config),
        }  # fmt: skip
        expected = loss_and_gradients(second, config, **options)
        leaves = first.trainable(*LEAVES)

        def step(leaves: Head = leaves, options: dict[str, Any] = options) -> list[Tensor]:
            loss = call_loss(leaves, config.backend, token_weight=leaves.token_weight, **options)
            return [loss.detach(), *torch.autograd.grad(loss.sum(), [getattr(leaves, name) for name in LEAVES])]

        outputs, replay = capture(step)
        with torch.no_grad():
            for name in (*LEAVES, "targets", "token_weight"):
                getattr(leaves, name).copy_(getattr(second, name))
        replay()
        compare_all(result, reduction, outputs, expected)
    return result


def no_synchronisation(config: RunConfig, *, shape: Shape, path: str) -> CheckResult:
    """A step whose number of targets is given never waits for the device."""
    head = random_head(*shape, torch.bfloat16, config.device)
    count = int((head.targets != -100).sum())
    result = CheckResult()
    for reduction in ("sum", "mean", "none"):
        options: dict[str, Any] = {
            "reduction": reduction, "num_targets": count, "workspace_bytes": workspace_of(path, head, config),
        }  # fmt: skip
        loss_and_gradients(head, config, **options)  # compiles
        config.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            loss_and_gradients(head, config, **options)
        except RuntimeError as error:
            result.expect(reduction, False, str(error).partition("\n")[0])
        else:
            result.expect(reduction, True, "")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return result


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

"""A program for two processes: every family under DDP and FSDP2, against the unpatched model on the rows of both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from lift_kernels import apply_lift_kernels
from lift_kernels.models.uncast import Uncast
from lift_kernels.testing import logits_loss
from tests.lift_kernels.tiny_models import (
    TINY,
    TINY_MODELS,
    build,
    expect_equal,
    gradients,
    labels_for,
    own_logits,
)

DENOMINATOR = 17.0
# Whose head may be a unit of its own, as no other module shares its weight.
WITH_EXPERTS = ("llada-moe", "llada2", "diffusion-gemma")  # some of which no token may have chosen
UNTIED = ("llada", "llada-bias", "llada-moe", "llada2", "dream")


def batches(name: str) -> list[tuple[dict, Tensor, Tensor]]:
    """The rows of each process; the second has no label at all."""
    made = []
    for rank in range(2):
        torch.manual_seed(rank)
        labels = labels_for(name) if rank == 0 else torch.full((TINY.rows, TINY.length), -100)
        made.append((TINY_MODELS[name].inputs(TINY), labels, torch.rand(TINY.rows, TINY.length).double() * 10))
    return made


def truth(name: str) -> dict[str, Tensor]:
    """The mean of both processes' gradients, by the logits."""
    torch.manual_seed(0)
    model = build(name)
    losses = [logits_loss(own_logits(name, model, i), y, w, DENOMINATOR) for i, y, w in batches(name)]
    return gradients(model, torch.stack(losses).mean())


def as_ddp(name: str, model: nn.Module) -> nn.Module:
    return DistributedDataParallel(model, find_unused_parameters=name in WITH_EXPERTS)


def as_fsdp2(name: str, model: nn.Module) -> nn.Module:
    mesh = init_device_mesh("cpu", (2,))
    if name in UNTIED:
        fully_shard(model.get_output_embeddings(), mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert all(isinstance(p, DTensor) and p.placements[0].is_shard() for p in model.parameters())
    return model


def check(name: str, wrap: object, expected: dict[str, Tensor], tolerance: float) -> None:
    torch.manual_seed(0)
    wrapped = wrap(name, apply_lift_kernels(build(name)))
    inputs, labels, token_weight = batches(name)[distributed.get_rank()]
    outputs = wrapped(
        **inputs, labels=labels, token_weight=Uncast(token_weight), denominator=DENOMINATOR, return_token_stats=True
    )
    found = gradients(wrapped, outputs.loss)
    ours = {}
    for key, tensor in expected.items():
        gradient = found.get(key, found.get(f"module.{key}"))
        gradient = torch.zeros_like(tensor) if gradient is None else gradient
        ours[key] = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
    expect_equal(ours, expected, tolerance, f"{name}, {wrap.__name__}")


def check_head_that_nobody_gathers() -> None:
    """A weight that is still in shards when the head is called: made whole once, its gradient averaged over processes."""
    torch.manual_seed(0)
    model = apply_lift_kernels(build("dream"))
    mesh = init_device_mesh("cpu", (2,))
    model.lm_head.weight = nn.Parameter(distribute_tensor(model.lm_head.weight.detach(), mesh, [Shard(0)]))
    inputs, labels, token_weight = batches("dream")[distributed.get_rank()]
    model(**inputs, labels=labels, token_weight=token_weight, denominator=DENOMINATOR).loss.backward()
    ours = model.lm_head.weight.grad.full_tensor()
    torch.testing.assert_close(ours, truth("dream")["lm_head.weight"], rtol=1e-9, atol=1e-12)


def check_uncast() -> None:
    """FSDP2 in bfloat16 casts what it sees: a count of 257 becomes 256, and scores lose their last 16 bits."""
    model = apply_lift_kernels(build("dream", torch.float32))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, output_dtype=torch.bfloat16)
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)), mp_policy=policy)
    inputs, labels, _ = batches("dream")[0]
    seen = torch.tensor(257.0)
    call = {**inputs, "labels": labels, "return_token_stats": True}
    plain = model(**call, denominator=seen)
    exact = model(**call, denominator=Uncast(seen))
    total = -exact.token_stats.log_prob.sum()
    assert exact.token_stats.log_prob.dtype == torch.float32
    assert (exact.loss.float() * 257 / total - 1).abs() < 2**-8  # the loss itself is rounded, as any output
    assert (plain.loss.float() * 256 / total - 1).abs() < 2**-8


def main() -> None:
    distributed.init_process_group("gloo")
    done = []
    for name, tiny in TINY_MODELS.items():
        expected = truth(name)
        for wrap in (as_ddp, as_fsdp2):
            check(name, wrap, expected, 1e-5 if tiny.float32_logits else 1e-9)
            done.append([name, wrap.__name__])
    check_head_that_nobody_gathers()
    check_uncast()
    if distributed.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(done))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()

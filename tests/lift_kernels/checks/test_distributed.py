"""DTensors: replicated ones are computed with as plain tensors are, sharded ones are refused."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.multiprocessing import spawn

import lift_kernels
from tests.lift_kernels.op_calls import CALLS, DIFFERENTIABLE, OPS, call

LEAVES = ("hidden_states", "weight", "bias")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    store = dist.FileStore(str(tmp_path_factory.mktemp("mesh") / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def tensors_of(name):
    return {key: value for key, value in CALLS[name]().items() if isinstance(value, torch.Tensor)}


def flat(result):
    return [result] if isinstance(result, torch.Tensor) else [tensor for part in result for tensor in flat(part)]


def trainable(arguments):
    leaves = [arguments[leaf].detach().clone().requires_grad_() for leaf in LEAVES]
    return leaves, dict(zip(LEAVES, leaves, strict=True))


@pytest.mark.parametrize("name", OPS)
def test_replicated_arguments_give_plain_results(name, mesh):
    replicated = {key: distribute_tensor(value, mesh, [Replicate()]) for key, value in tensors_of(name).items()}
    for ours, expected in zip(flat(call(name, **replicated)), flat(call(name)), strict=True):
        assert not isinstance(ours, DTensor) and torch.equal(ours, expected)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.parametrize("plain", [(), ("hidden_states",), ("weight", "bias")], ids=str)
def test_replicated_arguments_have_the_gradients_of_plain_ones(name, plain, mesh):
    arguments = tensors_of(name)
    expected, wide = trainable(arguments)
    call(name, **wide)[0].sum().backward()
    leaves, ours = trainable(arguments)
    placed = {
        key: value if key in plain else DTensor.from_local(value, mesh, [Replicate()]) for key, value in ours.items()
    }
    if "denominator" in CALLS[name]():
        placed["denominator"] = distribute_tensor(torch.tensor(7.0), mesh, [Replicate()])
    call(name, **placed)[0].sum().backward()
    for leaf, true in zip(leaves, expected, strict=True):
        torch.testing.assert_close(leaf.grad, true.grad)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("placement", [Shard(0), Partial()], ids=str)
def test_shards_are_refused(name, placement, mesh):
    for argument, value in tensors_of(name).items():
        shard = DTensor.from_local(value, mesh, [placement])
        message = rf"^{name}: {argument} must be whole on every process, .*{str(placement)[0]}.* apply_lift_kernels"
        with pytest.raises(ValueError, match=message):
            call(name, **{argument: shard})


def own_rows(rank: int, store: str) -> None:
    """Each of two processes has rows of its own, and the head is replicated."""
    dist.init_process_group("gloo", store=dist.FileStore(store, 2), rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    torch.manual_seed(0)
    states, weight, targets = torch.randn(2, 6, 8), torch.randn(20, 8), torch.randint(20, (2, 6))
    plain = weight.clone().requires_grad_()
    sum(lift_kernels.linear_cross_entropy(states[i], plain, targets[i]) for i in range(2)).div(2).backward()
    shared = torch.nn.Parameter(distribute_tensor(weight, mesh, [Replicate()]))
    lift_kernels.linear_cross_entropy(states[rank], shared, targets[rank]).backward()
    torch.testing.assert_close(shared.grad.to_local(), plain.grad)
    assert all(placement.is_replicate() for placement in shared.grad.placements)
    # The same rows in both: every process computes the whole gradient.
    both = torch.nn.Parameter(distribute_tensor(weight, mesh, [Replicate()]))
    rows, ids = (distribute_tensor(value, mesh, [Replicate()]) for value in (states.flatten(0, 1), targets.flatten()))
    lift_kernels.linear_cross_entropy(rows, both, ids).backward()
    torch.testing.assert_close(both.grad.to_local(), plain.grad)
    dist.destroy_process_group()


@pytest.mark.slow
def test_own_rows_beside_a_replicated_head_average_its_gradient(tmp_path):
    spawn(own_rows, (str(tmp_path / "store"),), nprocs=2)

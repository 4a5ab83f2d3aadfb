"""What the ops save for their backward pass is unpacked once, whatever saves it: activation checkpointing, offloading."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from tests.lift_kernels.op_calls import CALLS, call

CASES = {
    **{f"linear {reduction}": ("linear_cross_entropy", {"reduction": reduction}) for reduction in ("none", "sum", "mean")},
    **{f"lift {kind}": ("lift_cross_entropy", {"learnability": kind}) for kind in ("hard", "soft")},
}  # fmt: skip
LEAVES = ("hidden_states", "weight", "bias")


def loss_of(case, return_stats, *leaves):
    name, options = CASES[case]
    denominator = 7.0 if options.get("reduction", "mean") == "mean" else None
    options = options | {"denominator": denominator, "return_stats": return_stats}
    result = call(name, **options, **dict(zip(LEAVES, leaves, strict=True)))
    return (result[0] if isinstance(result, tuple) else result).sum()


def leaves_of(case, trained):
    arguments = CALLS[CASES[case][0]]()
    return [arguments[leaf].clone().requires_grad_(leaf in trained) for leaf in LEAVES]


@pytest.mark.parametrize("return_stats", [False, True])
@pytest.mark.parametrize("trained", [LEAVES, LEAVES[:1], LEAVES[1:]], ids="+".join)
@pytest.mark.parametrize("case", CASES)
def test_each_saved_tensor_is_unpacked_once(case, trained, return_stats):
    packed, unpacked = [], []

    def pack(tensor):
        packed.append(len(packed))
        return packed[-1], tensor

    def unpack(pair):
        unpacked.append(pair[0])
        return pair[1]

    leaves = leaves_of(case, trained)
    with saved_tensors_hooks(pack, unpack):
        loss = loss_of(case, return_stats, *leaves)
    loss.backward()
    assert packed and sorted(unpacked) == packed


@pytest.mark.parametrize("return_stats", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_activation_checkpointing_gives_the_same_gradients(case, return_stats):
    plain, saved = leaves_of(case, LEAVES), leaves_of(case, LEAVES)
    loss_of(case, return_stats, *plain).backward()
    checkpoint(loss_of, case, return_stats, *saved, use_reentrant=False).backward()
    for ours, expected in zip(saved, plain, strict=True):
        assert torch.equal(ours.grad, expected.grad)


@pytest.mark.parametrize("case", CASES)
def test_double_backward_is_refused_by_name(case):
    leaves = leaves_of(case, LEAVES)
    with pytest.raises(RuntimeError, match=rf"^{CASES[case][0]}: double backward is not supported"):
        torch.autograd.grad(loss_of(case, False, *leaves), leaves, create_graph=True)

"""Nothing here may read a value back from the device: fake tensors have none, so an attempt raises."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from lift import objectives
from lift.objectives import forward_process, puma

B, L = 4, 12
DRAW = {"mask_token_id": 9, "seed": 3}


def zeros(input_ids, *_):
    return torch.zeros(input_ids.shape)


def lift(build, *score, **options):
    def call(clean, maskable, time, ids):
        order = objectives.choose_order(time, "lift3")
        return build(clean, maskable, time, time * 0.1, order, *score, example_id=ids, **DRAW, **options)

    return call


def complementary(clean, maskable, time, ids):
    first = objectives.sft_batch(clean, maskable, time, example_id=ids, **DRAW)
    order = objectives.draw_order(ids, "lift3")
    return objectives.complementary_batch(first, clean, maskable, time, mask_token_id=9, order=order)


def blocks(clean, maskable, time, ids):
    cut = objectives.Blocks.of_rows(B, L, 5)
    return cut.unfold(cut.fold(clean, 0)), cut.index(), cut.num_before(), cut.row


def gift(clean, maskable, time, ids):
    names = {"fallback": maskable, "unsafe_division": True, "example_id": ids}
    return objectives.gift_batch(clean, maskable, time, zeros, **names, **DRAW)


def puma_visit(clean, maskable, time, ids):
    names = {"num_phases": 4, "seed": 3}
    visit = puma.visit_id(ids, ids)
    masked = puma.mask_entering(maskable, ids * 0, visit, **names)
    masked = puma.reveal(masked, maskable, zeros(clean), ids * 0 + 1, visit, threshold=0.9, **names)
    batch = puma.puma_batch(clean, maskable, masked, mask_token_id=9)
    return batch, puma.phase_of(masked, maskable, num_phases=4)


CALLS = {
    "batch scope": lambda clean, maskable, time, ids: objectives.choose_order(time, "lift3", scope="batch"),
    "sft": lambda clean, maskable, time, ids: objectives.sft_batch(clean, maskable, time, example_id=ids, **DRAW),
    "lift": lift(objectives.lift_batch, zeros, min_keep=1),
    "one forward": lift(objectives.one_forward_batch),
    "complementary": complementary,
    "cart": lambda clean, maskable, time, ids: objectives.cart_batch(clean, maskable, time, example_id=ids, **DRAW),
    "gift": gift,
    "mirror": lambda clean, maskable, time, ids: objectives.mirror_batch(clean, maskable, time, example_id=ids, **DRAW),
    "blockwise": lambda clean, maskable, time, ids: objectives.blockwise_batch(
        clean, maskable, time, block_size=3, example_id=ids, **DRAW
    ),
    "puma": puma_visit,
    "blocks": blocks,
    "unordered": lambda clean, maskable, time, ids: objectives.select_unordered(clean, maskable, ids),
    "first": lambda clean, maskable, time, ids: objectives.without_first_token(maskable),
} | {
    name: lambda clean, maskable, time, ids, name=name: forward_process.draw_time(
        name, 3, ids, fixed_time=0.5, position=ids, num_rows=B
    )
    for name in forward_process.TIME_DISTRIBUTIONS
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_no_value_is_read(call):
    with FakeTensorMode():
        clean, maskable = torch.zeros(B, L, dtype=torch.int64), torch.ones(B, L, dtype=torch.bool)
        call(clean, maskable, torch.rand(B), torch.arange(B))


def test_a_read_would_be_seen():
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        objectives.cart_weights(torch.rand(B, L) < torch.rand(B).sum().item())

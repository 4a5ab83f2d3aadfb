from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lift_kernels import reference
from lift_kernels.kernels import tiled_statistics as module
from lift_kernels.kernels.launch_configs import LAUNCHES, Launch, launch_config
from lift_kernels.kernels.tiled_statistics import tile_grid, tiled_statistics
from lift_kernels.linear_head import LinearHead, RowStats
from lift_kernels.testing import Head, assert_nats_close

pytestmark = pytest.mark.usefixtures("poison_new_tensors")

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SMALL = Launch({"BLOCK_N": 16, "BLOCK_V": 32, "BLOCK_D": 16}, num_warps=4, num_stages=2)
WIDE = Launch({"BLOCK_N": 16, "BLOCK_V": 256, "BLOCK_D": 16}, num_warps=4, num_stages=2)
OPTIONS = {
    "plain": {},
    "bias and scale": {"bias": True, "scale": 0.4},
    "all": {"bias": True, "scale": 1.5, "softcap": 2.5},
}
# 33 rows in tiles of 16, two tiles to a group; 20 dimensions in steps of 16; 200 columns in tiles of 32.
SHAPE = (33, 20, 200)
PARTS = {"a part a tile": 1024, "two tiles a part": 4, "one part": 1}


def linear_head(head: Head, *, bias: bool = False, scale: float = 1.0, softcap: float | None = None) -> LinearHead:
    return LinearHead(head.weight, head.bias if bias else None, scale, softcap)


def truth(hidden_states: Tensor, head: LinearHead, targets: Tensor | None) -> RowStats:
    return RowStats(
        *reference.linear_token_stats(
            hidden_states.double(), head.weight.double(), targets,
            bias=None if head.bias is None else head.bias.double(), logit_scale=head.scale, logit_softcap=head.softcap,
        )
    )  # fmt: skip


def assert_stats_close(ours: RowStats, true: RowStats) -> None:
    for ours_values, true_values in zip(ours[:4], true[:4], strict=True):
        assert ours_values.dtype == torch.float32
        assert_nats_close(ours=ours_values, truth=true_values, atol=1e-5)
    assert torch.equal(ours.argmax, true.argmax)


@pytest.mark.parametrize("most_parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_statistics_match_float64_truth(dtype, options, most_parts, kernel_device, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PARTS", most_parts)
    monkeypatch.setattr(module, "_ROW_TILES_PER_GROUP", 2)
    head = Head.random(*SHAPE, dtype, ignored=0).to(kernel_device)
    linear = linear_head(head, **options)
    ours = tiled_statistics(head.hidden_states, linear, head.targets, all_stats=True, launch=SMALL)
    assert_stats_close(ours, truth(head.hidden_states, linear, head.targets))


# One row, and fewer dimensions and columns than a block has; and none left over.
@pytest.mark.parametrize("shape", [(1, 8, 5), (16, 32, 64)], ids=str)
def test_sizes_below_and_at_a_block(shape, kernel_device):
    head = Head.random(*shape, torch.bfloat16, ignored=0).to(kernel_device)
    linear = linear_head(head, bias=True)
    ours = tiled_statistics(head.hidden_states, linear, head.targets, all_stats=True, launch=SMALL)
    assert_stats_close(ours, truth(head.hidden_states, linear, head.targets))


@pytest.mark.parametrize(
    ("num_rows", "dtype"), [(3, torch.float32), (70, torch.float32), (3, torch.float16), (130, torch.bfloat16)], ids=str
)
def test_the_launch_of_the_table(num_rows, dtype, kernel_device):
    head = Head.random(num_rows, 96, 300, dtype, ignored=0).to(kernel_device)
    linear = linear_head(head, bias=True, softcap=2.5 if dtype == torch.float16 else None)
    ours = tiled_statistics(head.hidden_states, linear, head.targets, all_stats=True)
    assert_stats_close(ours, truth(head.hidden_states, linear, head.targets))


@pytest.mark.parametrize("level", [-200.0, 90.0])
def test_columns_past_the_vocabulary_do_not_count(level, kernel_device):
    """1100 columns in tiles of 256, with no logit near the 0 that a column of zeros would give."""
    head = Head.random(5, 8, 1100, ignored=0)
    head = replace(head, bias=torch.full_like(head.bias, level)).to(kernel_device)
    linear = linear_head(head, bias=True)
    ours = tiled_statistics(head.hidden_states, linear, head.targets, all_stats=True, launch=WIDE)
    true = truth(head.hidden_states, linear, head.targets)
    for ours_values, true_values in zip(ours[:4], true[:4], strict=True):
        assert_nats_close(ours=ours_values, truth=true_values, atol=3e-5)  # two units in the last place of 200


def test_targets_at_both_ends_and_outside(kernel_device):
    head = Head.random(16, 8, 170, ignored=0).to(kernel_device)
    inside, outside = (
        [0, 31, 32, 159, 160, 169],
        [170, 191, 192, -1, -100, 2**32, 2**32 + 3, -(2**32) + 5, 2**62, -(2**62)],
    )
    targets = torch.tensor(inside + outside, device=kernel_device)
    linear = linear_head(head, bias=True)
    ours = tiled_statistics(head.hidden_states, linear, targets, all_stats=True, launch=SMALL)
    n = len(inside)
    assert_stats_close(RowStats(*(v[:n] for v in ours[:5])), truth(head.hidden_states[:n], linear, targets[:n]))
    assert ours.log_prob[n:].isneginf().all()
    without = tiled_statistics(head.hidden_states, linear, None, all_stats=True, launch=SMALL)
    for with_targets, without_targets in zip(ours[1:4], without[1:4], strict=True):
        torch.testing.assert_close(with_targets, without_targets, rtol=0, atol=2e-6)  # summed in another order
    assert torch.equal(ours.argmax, without.argmax)


@pytest.mark.parametrize("most_parts", [1024, 1])
def test_the_first_of_equal_logits_is_the_most_likely(most_parts, kernel_device, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PARTS", most_parts)
    head = Head.random(3, 16, 200, ignored=0).to(kernel_device)
    head.weight[[37, 45, 64, 199]] = head.hidden_states[1]  # twice in a tile, in the next one, in the last
    head.hidden_states[2] = 0.0  # all equal
    ours = tiled_statistics(head.hidden_states, linear_head(head), None, all_stats=True, launch=SMALL)
    assert ours.argmax.tolist() == [truth(head.hidden_states, linear_head(head), None).argmax[0], 37, 0]


@pytest.mark.parametrize("most_parts", [1024, 1])
def test_a_sure_row_keeps_its_digits(most_parts, kernel_device, monkeypatch):
    """With targets all over the vocabulary, and what is left for the others from 1e-3 to 1e-12."""
    monkeypatch.setattr(module, "_MOST_PARTS", most_parts)
    left = torch.logspace(-3, -12, 16)
    targets = torch.arange(16, device=kernel_device) * 19 + 7
    weight = torch.zeros(300, 16, device=kernel_device)
    weight[targets] = torch.eye(16, device=kernel_device)
    logits = (299 / left).log().to(kernel_device)  # of the target; the others' are 0
    hidden_states = torch.eye(16, device=kernel_device) * logits[:, None]
    ours = tiled_statistics(hidden_states, LinearHead(weight), targets, all_stats=True, launch=SMALL)
    others = 299 * (-logits.double()).exp()
    torch.testing.assert_close(ours.log_prob.double(), -others.log1p(), rtol=3e-6, atol=0)
    torch.testing.assert_close(ours.max_log_prob, ours.log_prob, rtol=0, atol=0)
    entropy = others.log1p() + others / (1 + others) * logits.double()
    torch.testing.assert_close(ours.entropy.double(), entropy, rtol=3e-6, atol=0)


@pytest.mark.parametrize(("options", "most_parts"), [("plain", 1), ("bias and scale", 3), ("all", 1024)])
def test_the_second_most_likely(options, most_parts, kernel_device, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PARTS", most_parts)
    head = Head.random(*SHAPE, ignored=0).to(kernel_device)
    head.weight[[41, 60]] = head.weight[7].clone()  # of the same tile, and of another one
    head.bias[[41, 60]] = head.bias[7].clone()
    linear = linear_head(head, **OPTIONS[options])
    ours = tiled_statistics(head.hidden_states, linear, head.targets, all_stats=True, runner_up=True, launch=SMALL)
    logits = reference.linear_logits(
        head.hidden_states.double(), head.weight.double(), None if linear.bias is None else linear.bias.double(),
        linear.scale, linear.softcap,
    )  # fmt: skip
    true = truth(head.hidden_states, linear, head.targets)
    assert_stats_close(ours, true)
    assert_nats_close(ours=ours.runner_up_log_prob, truth=logits.log_softmax(-1).topk(2).values[:, 1], atol=1e-5)


@pytest.mark.parametrize(("options", "excluded"), [("plain", 0), ("bias and scale", 45), ("all", 199)])
def test_an_excluded_entry_has_no_probability(options, excluded, kernel_device):
    head = Head.random(*SHAPE, ignored=0)
    head.bias[excluded] += 50.0  # it would have all of it
    head.weight[excluded] = 0
    others = torch.tensor([v for v in range(SHAPE[2]) if v != excluded])
    targets = others[torch.randint(len(others), (SHAPE[0],))]
    head = replace(head, targets=targets).to(kernel_device)
    linear = linear_head(head, **OPTIONS[options])
    ours = tiled_statistics(
        head.hidden_states, linear._replace(exclude_index=excluded), head.targets, all_stats=True, runner_up=True,
        launch=SMALL,
    )  # fmt: skip
    bias = None if linear.bias is None else linear.bias[others]
    position = torch.searchsorted(others, targets).to(kernel_device)
    true = truth(head.hidden_states, linear._replace(weight=head.weight[others], bias=bias), position)
    assert_stats_close(ours, true._replace(argmax=others.to(kernel_device)[true.argmax]))
    assert (ours.runner_up_log_prob <= ours.max_log_prob).all()


@pytest.mark.parametrize("most_parts", [1024, 3])
def test_logits_of_minus_infinity_take_no_part(most_parts, kernel_device, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PARTS", most_parts)
    head = Head.random(5, 16, 200, ignored=0).to(kernel_device)
    head.bias[:70] = -torch.inf  # two tiles and a piece
    head.bias[150] = -torch.inf
    targets = torch.tensor([70, 199, 149, 150, 3], device=kernel_device)
    linear = linear_head(head, bias=True)
    ours = tiled_statistics(head.hidden_states, linear, targets, all_stats=True, launch=SMALL)
    wide = linear._replace(bias=head.bias.where(head.bias.isfinite(), -1e30))
    true = truth(head.hidden_states, wide, targets)
    assert ours.log_prob[3:].isneginf().all()
    assert_nats_close(ours=ours.log_prob[:3], truth=true.log_prob[:3], atol=1e-5)
    assert_stats_close(ours._replace(log_prob=ours.lse), true._replace(log_prob=true.lse))


# numpy, in which the interpreter computes, says so when it meets a nan or takes the logarithm of 0.
@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning", "ignore:.*encountered in.*:RuntimeWarning")
def test_no_nan_is_lost_and_none_is_made(kernel_device):
    head = Head.random(20, 16, 120, ignored=0).to(kernel_device)
    linear = linear_head(head, bias=True)
    clean = tiled_statistics(head.hidden_states, linear, head.targets, all_stats=True, launch=SMALL)
    broken_row = head.hidden_states.clone()
    broken_row[7, 3] = torch.nan
    ours = tiled_statistics(broken_row, linear, head.targets, all_stats=True, launch=SMALL)
    is_broken = torch.arange(20, device=kernel_device) == 7
    for values, clean_values in zip(ours[:4], clean[:4], strict=True):
        assert torch.equal(values.isnan(), is_broken)
        assert torch.equal(values[~is_broken], clean_values[~is_broken])
    assert ((ours.argmax >= 0) & (ours.argmax < 120)).all()

    broken_column = head.weight.clone()
    broken_column[100, 0] = torch.nan
    ours = tiled_statistics(
        head.hidden_states, linear._replace(weight=broken_column), head.targets, all_stats=True, launch=SMALL
    )
    assert all(values.isnan().all() for values in ours[:4])

    nothing = linear._replace(bias=torch.full_like(head.bias, -torch.inf))
    ours = tiled_statistics(head.hidden_states, nothing, head.targets, all_stats=True, launch=SMALL)
    assert ours.lse.isneginf().all() and not ours.argmax.any()


def test_without_entropy_and_argmax_the_rest_is_the_same(kernel_device):
    head = Head.random(20, 16, 300, torch.bfloat16, ignored=0).to(kernel_device)
    whole, part = (
        tiled_statistics(head.hidden_states, linear_head(head), head.targets, all_stats=all_stats, launch=SMALL)
        for all_stats in (True, False)
    )
    for name in ("log_prob", "lse", "max_log_prob"):
        torch.testing.assert_close(getattr(part, name), getattr(whole, name), rtol=0, atol=1e-6)
    assert part.entropy.isfinite().all() and (part.argmax < 300).all()


def test_no_rows(kernel_device):
    head = Head.random(0, 16, 100).to(kernel_device)
    stats = tiled_statistics(head.hidden_states, linear_head(head), head.targets, all_stats=True)
    assert [values.shape for values in stats[:5]] == [(0,)] * 5 and stats.argmax.dtype == torch.int64


def test_rows_and_columns_apart_in_memory(kernel_device):
    head = Head.random(20, 40, 200, ignored=0).to(kernel_device)
    true = truth(head.hidden_states, linear_head(head), head.targets)
    apart = {
        "rows": (head.hidden_states.repeat_interleave(2, 0)[::2], head.weight.repeat_interleave(3, 0)[::3]),
        "transposed": (head.hidden_states.t().contiguous().t(), head.weight.t().contiguous().t()),
    }
    for hidden_states, weight in apart.values():
        ours = tiled_statistics(hidden_states, LinearHead(weight), head.targets, all_stats=True, launch=SMALL)
        assert_stats_close(ours, true)


@pytest.mark.parametrize("num_rows", [0, 1, 16, 1000, 4096, 10**5, 10**7])
@pytest.mark.parametrize("num_columns", [1, 5, 1100, 126464, 152064])
@pytest.mark.parametrize("block", [32, 256])
def test_partial_statistics_stay_small(num_rows, num_columns, block):
    step = module.columns_per_part(num_rows, num_columns, block)
    num_parts = math.ceil(num_columns / step)
    assert step % block == 0 and 1 <= num_parts <= 1024
    assert num_parts == 1 or 24 * num_rows * num_parts <= 12 << 20


def test_there_are_enough_parts_to_fill_a_gpu():
    steps = {n: module.columns_per_part(n, 126464, 256) for n in (16, 1024, 4096, 16384)}
    assert steps == {16: 256, 1024: 256, 4096: 1024, 16384: 4096}


@pytest.mark.parametrize("num_row_tiles", [1, 2, 15, 16, 17, 33])
def test_every_row_tile_has_one_program_in_each_part(num_row_tiles):
    group, num_parts, num_groups = tile_grid(num_row_tiles, 7)
    tiles = [z * group + x for z in range(num_groups) for x in range(group)]
    assert num_parts == 7 and group <= 16
    assert tiles[:num_row_tiles] == list(range(num_row_tiles)) and len(tiles) - num_row_tiles < group


@pytest.mark.parametrize("kernel", ["tiled_statistics", "tiled_gradient"])
def test_few_rows_and_softcaps_get_smaller_tiles(kernel):
    cpu = torch.device("cpu")
    whole = LAUNCHES[kernel, "half", "sm90"]
    assert whole.blocks == {"BLOCK_N": 128, "BLOCK_V": 256, "BLOCK_D": 64}
    for num_rows, block in {0: 16, 1: 16, 16: 16, 17: 32, 33: 64, 64: 64, 65: 128, 10**6: 128}.items():
        launch = launch_config(kernel, torch.bfloat16, cpu, num_rows)
        assert launch.blocks == {**whole.blocks, "BLOCK_N": block}
        assert (launch.num_warps, launch.num_stages) == (whole.num_warps, whole.num_stages)
    assert launch_config(kernel, torch.float16, cpu, 99, has_softcap=True).blocks == {**whole.blocks, "BLOCK_V": 128}
    assert launch_config(kernel, torch.float32, cpu, 99) == LAUNCHES[kernel, "ieee", "sm90"]

"""Run kernels on rows so far apart that an offset in 32 bits would wrap: it then points out of the memory, and this dies.

A program of its own. The memory is address space only: pages that nothing touches take no room.
"""

from __future__ import annotations

import mmap
import os

os.environ["TRITON_INTERPRET"] = "1"

import torch

from lift_kernels.kernels.launch_configs import Launch, launch_config
from lift_kernels.kernels.partial_statistics import PartialStatistics
from lift_kernels.kernels.rows import copy_rows
from lift_kernels.kernels.softmax_rows import finish_rows, softmax_rows, weighted_column_sums
from lift_kernels.kernels.tiled_gradient import Rows, tiled_gradient
from lift_kernels.kernels.tiled_statistics import tiled_statistics
from lift_kernels.linear_head import LinearHead

_MAP_NORESERVE = 0x4000  # on Linux; the module mmap names it from Python 3.12 on
# Elements from one row to the next: 32 bits hold it, but not twice it.
FAR = 2**30 + 64


def far_rows(values: torch.Tensor) -> torch.Tensor:
    """A copy of (3, K) values, its rows FAR apart."""
    size = (2 * FAR + values.shape[1]) * values.element_size()
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    memory = torch.frombuffer(mmap.mmap(-1, size, flags=flags), dtype=values.dtype)
    rows = memory.as_strided(values.shape, (FAR, 1))
    rows.copy_(values)
    return rows


def main() -> None:
    logits, targets = torch.randn(3, 40), torch.tensor([3, 39, 0])
    log_prob = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    gradient = logits.softmax(-1) - torch.nn.functional.one_hot(targets, 40)

    exponentials = far_rows(torch.zeros(3, 40))
    state = PartialStatistics.empty(3, 1, logits.device)
    head = LinearHead(torch.empty(0))
    softmax_rows(
        far_rows(logits), slice(0, 40), head, targets, state, exponentials, Launch({"BLOCK_V": 64}, 4), all_stats=True
    )
    stats = state.merge()
    factor, target_factor = finish_rows(state, head)
    torch.testing.assert_close(stats.log_prob, log_prob)
    others = exponentials * factor[:, None]
    torch.testing.assert_close(others.scatter(1, targets[:, None], target_factor[:, None]), gradient)

    # The identity as head: its logits are the hidden states.
    identity = torch.eye(40)
    stats = tiled_statistics(far_rows(logits), LinearHead(identity), targets, all_stats=True)
    torch.testing.assert_close(stats.log_prob, log_prob)
    three_columns = far_rows(torch.eye(40)[:3])
    expected = logits[:, :3].log_softmax(-1)[:, 2]
    stats = tiled_statistics(logits, LinearHead(three_columns), torch.full((3,), 2), all_stats=True)
    torch.testing.assert_close(stats.log_prob, expected)

    out = far_rows(torch.zeros(3, 40))
    rows = Rows.of_nll(far_rows(logits), targets, torch.ones(3), logits.logsumexp(-1), log_prob)
    tiled_gradient(
        rows, LinearHead(identity), 0, None, out, None, launch_config("tiled_gradient", out.dtype, out.device, 3)
    )
    torch.testing.assert_close(out, gradient)

    assert torch.equal(copy_rows(far_rows(logits), far_rows(torch.zeros(3, 40))), logits)
    sums = torch.empty(40)
    weighted_column_sums(far_rows(logits), torch.ones(3), sums, accumulate=False)
    torch.testing.assert_close(sums, logits.sum(0))


if __name__ == "__main__":
    main()

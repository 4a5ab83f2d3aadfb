"""When each block is: times of the blocks of a row, drawn apart or spread evenly."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.objectives.blocks import Blocks
from lift.objectives.forward_process import draw_strata_words, draw_time
from lift.objectives.options import LiftOptions

_STEPS_OF_A_UNIFORM = 24  # bits


def draw_block_times(
    options: LiftOptions, seed: int, example_id: Tensor, blocks: Blocks, *, position: Tensor, num_rows: int
) -> Tensor:
    """Return the time u (U,) float32 of each block, before its floor; a function of (seed, example, block).

    A time is drawn for each block, row or document, as `options.time_scope` says. With `options.time_strata`, those of
    a row lie one in each of n equal parts of [0, 1), n of its blocks or documents before its padding: in random order,
    so that no block is tied to a time, and all in the same place of their part, which is the row's own time. So each
    alone is uniform, and with `timestep_distribution="low_discrepancy"` those of a whole step are spread evenly.

    Where a row is one block, it is the row's time to the bit.

    Args:
        options: time_scope, time_strata, timestep_distribution, fixed_timestep.
        seed: the step's.
        example_id: (B,) int64.
        blocks: of the rows.
        position, num_rows: see `draw_time`.
    """
    distribution, scope = options.timestep_distribution, options.time_scope
    first = blocks.first_of_document()
    own = torch.arange(blocks.per_row, device=first.device).expand_as(first)
    named = {"block": own, "document": first, "row": torch.zeros_like(own)}[scope]  # by the block that stands for it
    if distribution in ("discrete", "fixed") or not options.time_strata:
        names = blocks.ids(example_id).view_as(own).gather(1, named)
        return draw_time(distribution, seed, names.flatten(), fixed_time=options.fixed_timestep)
    of_row = draw_time(distribution, seed, example_id, position=position, num_rows=num_rows)[:, None]
    stands = (named == own) & (own < blocks.num_used[:, None])
    words = draw_strata_words(seed, blocks.ids(example_id)).view_as(own)
    rank = words.masked_fill(~stands, 1 << 32).argsort(dim=1, stable=True).argsort(dim=1).gather(1, named)
    num_parts = stands.sum(1, keepdim=True).clamp(min=1)
    # In integers: a sum of float32 numbers just below 1 would round to 1.
    place = (of_row.double() * 2.0**_STEPS_OF_A_UNIFORM).long()
    spread = ((rank << _STEPS_OF_A_UNIFORM) + place) // num_parts
    times = spread.to(torch.float32) * 2.0**-_STEPS_OF_A_UNIFORM
    return times.where(rank < num_parts, of_row).flatten()  # blocks of padding alone train nothing

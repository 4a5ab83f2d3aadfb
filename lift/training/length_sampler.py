"""Group rows of similar length into each step, in an order that neither a resume nor another process changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from tqdm.auto import tqdm
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.trainer_utils import has_length

from lift.models.transformers_versions import groups_by_length
from lift.objectives.forward_process import step_seed
from lift.training.progress import shows_progress


class LengthGroupedSampler(Sampler[int]):
    """transformers' grouping by length, as a function of (seed, epoch) alone.

    That of transformers draws from torch's global generator, whose state at the start of an epoch depends on what the
    process drew before: dropout on a CPU, for one. Processes would then deal out different orders, and a run that is
    resumed within an epoch would skip other rows than it trained on.

    Args:
        lengths: tokens of each row.
        group_size: rows of an optimiser step, of all its micro-batches and processes: rows this near are alike.
        seed: at least 0.
        epoch: asked at the start of each pass.
    """

    def __init__(self, lengths: Sequence[int], group_size: int, *, seed: int, epoch: Callable[[], int]) -> None:
        self.lengths = lengths
        self.group_size = group_size
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(step_seed(self.seed, self.epoch()))
        return iter(get_length_grouped_indices(self.lengths, self.group_size, generator=generator))


def length_grouped_sampler(
    args: Any, rows: Any, group_size: int, epoch: Callable[[], int]
) -> LengthGroupedSampler | None:
    """Return the sampler of `rows` where training arguments ask for grouping by length, else None.

    A row's length is its cell in the column `args.length_column_name` where there is one, else the number of its
    input_ids.
    """
    is_sized = has_length(rows)
    if not groups_by_length(args) or not is_sized:
        return None
    if args.length_column_name in getattr(rows, "column_names", ()):
        lengths = [int(length) for length in rows[args.length_column_name]]
    else:
        bar = tqdm(rows, desc="Measuring lengths", unit="row", delay=1, disable=not shows_progress(args))
        lengths = [len(row["input_ids"]) for row in bar]
    seed = args.seed if args.data_seed is None else args.data_seed
    return LengthGroupedSampler(lengths, group_size, seed=seed, epoch=epoch)

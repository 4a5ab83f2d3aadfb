"""The pool that a trainer with `method=puma` keeps, the loader that counts its steps, and what cannot have one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader

from lift.data.collated_batch import CollatedBatch
from lift.data.row_columns import is_stream
from lift.errors import LiftError
from lift.models.transformers_versions import groups_by_length
from lift.objectives import METHODS, Draws
from lift.training.batch_builder import BatchBuilder
from lift.training.pool_schedule import PoolSteps
from lift.training.row_pool import RowPool

logger = logging.getLogger(__name__)


def check_pool(args: Any, rows: Any) -> None:
    """Check that a run whose method keeps a pool can have one.

    Raises:
        LiftError: its rows come as they come, or something else decides which rows a step has, or how many.
    """
    method = args.method
    if not METHODS[method].keeps_pool:
        return
    if rows is not None and is_stream(rows):
        raise LiftError(
            f"method={method!r} takes rows by their number, again and again, and a stream has none: load its rows."
        )
    if groups_by_length(args):
        raise LiftError(f"method={method!r} chooses the rows of a step itself: leave grouping by length out.")
    if args.auto_find_batch_size:
        raise LiftError(
            f"method={method!r} keeps as many rows as a step has from the start: set per_device_train_batch_size, and "
            "auto_find_batch_size=False."
        )


def steps_loader(args: Any, rows: Any, batch_size: int) -> DataLoader[dict[str, int]]:
    """Return what counts the micro-batches of an epoch, for all processes, in the place of a loader of `rows`."""
    return DataLoader(PoolSteps(len(rows), _num_slots(args), args.puma_phases), batch_size=batch_size)


def open_pool(args: Any, rows: Any) -> RowPool:
    """Return the pool of this process as it is before the first step."""
    size, turn = args.train_batch_size, args.train_batch_size * args.world_size
    first = args.process_index * size
    micro_batches = [range(i * turn + first, i * turn + first + size) for i in range(args.gradient_accumulation_steps)]
    num_slots = _num_slots(args)
    logger.info(
        "method=%s trains each row for up to %d steps on end, so an epoch has %d.", args.method, args.puma_phases,
        PoolSteps(len(rows), num_slots, args.puma_phases).num_steps,
    )  # fmt: skip
    return RowPool(
        rows, micro_batches, num_slots, num_phases=args.puma_phases, threshold=args.puma_threshold, seed=args.seed,
        data_seed=args.seed if args.data_seed is None else args.data_seed, device=args.device,
    )  # fmt: skip


def mask_batches(pool: RowPool, batches: Sequence[CollatedBatch], builder: BatchBuilder, seed: int) -> None:
    """Tell the micro-batches of a step, each with its width and draws, what the pool has masked of them.

    The times that were drawn for them make way for what is their counterpart here, the share of a row that is masked.
    """
    for number, batch in enumerate(batches):
        rows = builder.clean_rows(batch, batch["draws"], seed)
        masked = batch["is_masked"] = pool.mask(number, rows)
        if rows.blocks is not None:
            masked = rows.blocks.fold(masked, False)
        share = masked.sum(1) / (rows.maskable & ~rows.is_padding).sum(1).clamp(min=1)
        batch["draws"] = Draws(share, share)


def _num_slots(args: Any) -> int:
    return int(args.train_batch_size * args.world_size * args.gradient_accumulation_steps)

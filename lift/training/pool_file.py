"""The pool of a run in its checkpoints: one file for the slots of all processes, in order.

    turn        (S,) int64
    phase       (S, n) int64
    is_masked   (S, L) bool

as in `PoolState`. The order is that of the rows of a step, so it does not matter how the step was split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.functional import pad

from lift.atomic_write import atomic_write
from lift.errors import LiftError
from lift.training.row_pool import PoolState, RowPool

FILE = "row_pool.safetensors"


def gather_state(
    pool: RowPool, gather: Callable[[Tensor], Tensor], max_over_processes: Callable[[int], int]
) -> PoolState:
    """Return the state of all slots, by their number. Every process must call it.

    Args:
        pool: of this process.
        gather: joins a tensor of all processes, on the first axis.
        max_over_processes: of a number of each.
    """
    state = pool.state()
    width, num_units = (max_over_processes(values.shape[1]) for values in (state.is_masked, state.phase))
    phase = pad(state.phase, (0, num_units - state.phase.shape[1]), value=pool.num_phases)
    masked = pad(state.is_masked, (0, width - state.is_masked.shape[1])).to(torch.uint8)
    slots = gather(torch.tensor(pool.slots)).cpu()
    turn, phase, masked = (gather(values).cpu()[slots.argsort()] for values in (state.turn, phase, masked))
    return PoolState(turn, phase, masked.bool())


def write_pool(folder: Path, state: PoolState) -> None:
    """Leave the state of all slots in a checkpoint's folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / FILE) as file:
        file.write(save({name: values.contiguous() for name, values in state._asdict().items()}))


def read_pool(folder: Path, slots: Sequence[int], num_slots: int) -> PoolState:
    """Return the state of `slots`, of `num_slots` in all, from a checkpoint's folder.

    Raises:
        LiftError: there is none, it is damaged, or it is of another number of slots.
    """
    path = folder / FILE
    try:
        state = PoolState(**load(path.read_bytes()))
    except FileNotFoundError:
        raise LiftError(
            f"there is no {FILE} in {folder}: resume from a checkpoint of a run that keeps a pool, on a folder that "
            "every process sees."
        ) from None
    except (SafetensorError, TypeError) as error:
        raise LiftError(f"{path} is damaged ({error}): resume from another checkpoint.") from None
    if len(state.turn) != num_slots:
        raise LiftError(
            f"{path} is a pool of {len(state.turn)} rows and a step of this run has {num_slots}: choose "
            "per_device_train_batch_size and gradient_accumulation_steps so that it has as many, whatever the number "
            "of processes."
        )
    return PoolState(*(values[list(slots)] for values in state))

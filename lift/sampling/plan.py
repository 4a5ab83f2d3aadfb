"""How many tokens and steps a block has."""

from __future__ import annotations

import math

from lift.errors import LiftError
from lift.sampling.config import SamplingConfig


def plan_steps(config: SamplingConfig, length: int) -> tuple[int, int]:
    """Return tokens and steps a block of responses of `length` tokens.

    Raises: LiftError where blocks or steps do not divide what they must.
    """
    block_length, steps = length if config.block_length is None else config.block_length, config.steps
    is_whole = config.uneven == "refuse" and config.block_origin == "answer" and not config.infill
    if is_whole and length % block_length:
        raise LiftError(f"generate: block_length must divide gen_length {length}, got {block_length}.")
    num_blocks = max(1, math.ceil(length / block_length))
    if config.steps_per_block is not None:
        most = config.steps_per_block if config.minimal_topk is None else length // config.minimal_topk
        return block_length, max(1, min(config.steps_per_block, most))
    if steps is None:
        return block_length, block_length
    if config.uneven == "floor":
        return block_length, max(1, steps // num_blocks)
    if not is_whole:
        return block_length, math.ceil(steps / num_blocks)
    if steps < num_blocks or steps % num_blocks or (steps > length and not config.idle_steps):
        limit = "" if config.idle_steps else f" and at most gen_length {length}"
        raise LiftError(
            f"generate: steps must be a multiple of the number of blocks, {num_blocks},{limit}, got {steps}."
        )
    return block_length, steps // num_blocks

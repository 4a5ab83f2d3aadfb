"""How many tokens each step of a block commits."""

from __future__ import annotations


def plan_blocks(gen_length: int, block_length: int | None, steps: int | None) -> tuple[int, list[int]]:
    """The block length, and how many tokens each step of a block commits."""
    if gen_length < 1:
        raise ValueError(f"generate: gen_length must be at least 1, got {gen_length}.")
    block_length = gen_length if block_length is None else block_length
    if block_length < 1 or gen_length % block_length:
        raise ValueError(f"generate: block_length must divide gen_length {gen_length}, got {block_length}.")
    num_blocks = gen_length // block_length
    steps = gen_length if steps is None else steps
    if not num_blocks <= steps <= gen_length or steps % num_blocks:
        raise ValueError(
            f"generate: steps must be a multiple of the number of blocks, {num_blocks}, "
            f"and at most gen_length {gen_length}, got {steps}."
        )
    per_step, remainder = divmod(block_length, steps // num_blocks)
    return block_length, [per_step + (index < remainder) for index in range(steps // num_blocks)]

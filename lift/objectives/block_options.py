"""`BlockOptions`: the choices of block diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lift.errors import LiftError
from lift.fields import check_choice, option

SMALL_BLOCK = 32
"""Up to this size, to the nearest number of kept tokens is too coarse."""


@dataclass
class BlockOptions:
    """How rows are cut into blocks, and what is drawn for each. Whoever takes them calls `check_block_options`."""

    attention: Literal["full", "block"] | None = option(
        None,
        "What a training forward attends to: the whole row (full), or each block of noisy tokens to itself and to the "
        "clean blocks before it (block). By default as the model's family is generated from.",
    )
    block_size: int | None = option(
        None, "Tokens of a block, with attention=block; by default the model's own.", within="[1, inf)"
    )
    block_origin: Literal["start", "answer"] | None = option(
        None,
        "With attention=block: count blocks from a row's start, or anew from its first trained token (answer), as text "
        "is generated behind a prompt. By default start, of DiffusionGemma answer.",
    )
    time_scope: Literal["block", "row", "document"] = option(
        "block",
        "With attention=block: draw a time t for each block, for each row, or for each example of a packed row.",
    )
    time_strata: bool = option(
        True,
        "Spread the times of a row's blocks (or examples) evenly, in random order: one in each of as many equal parts. "
        "Not of timestep_distribution=discrete or fixed.",
    )
    keep_rounding: Literal["nearest", "stochastic"] | None = option(
        None,
        "How the number of tokens that a row or block keeps is rounded; stochastic is exact in the mean, and the "
        f"default for blocks of up to {SMALL_BLOCK} tokens.",
    )
    block_padding: Literal["pad", "eos"] = option(
        "pad",
        "With attention=block: complete a row's last block with padding, or with end tokens that are trained as text.",
    )

    def check_block_options(self) -> None:
        """Check what the type of a field does not say.

        Raises:
            LiftError: a field has none of its values, or would have no effect; the sentence names it.
        """
        if self.attention is not None:
            check_choice("attention", self.attention, ("full", "block"))
        if self.block_origin is not None:
            check_choice("block_origin", self.block_origin, ("start", "answer"))
        if self.keep_rounding is not None:
            check_choice("keep_rounding", self.keep_rounding, ("nearest", "stochastic"))
        if self.attention == "full" and self.block_size is not None:
            raise LiftError("block_size belongs to attention=block: set that, or leave block_size out.")

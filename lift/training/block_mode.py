"""Whether a trainer attends to whole rows or to blocks, and what cannot be trained in blocks."""

from __future__ import annotations

import logging
from typing import Any

import torch

from lift.errors import LiftError
from lift.models.attention import PACKABLE_MODELS, pairs_as_taken
from lift.objectives import METHODS
from lift_kernels.models import ModelFamily, positions_of, unwrap_model

logger = logging.getLogger(__name__)


def resolve_attention(args: Any, model: Any, family: ModelFamily) -> None:
    """Set `args.attention`, and `args.block_size` where that is "block", from the model where they are not given.

    Args:
        args: `LiftOptions`.
        model: wrapped or not.
        family: the model's.

    Raises:
        LiftError: the model cannot be trained in blocks, nothing tells their size, or an option belongs to blocks alone
            or does not go with them.
    """
    attention = args.attention or family.attention
    if attention == "full":
        for name, none in (("block_size", None), ("block_padding", "pad"), ("time_scope", "block")):
            if getattr(args, name) != none:
                raise LiftError(f"{name}={getattr(args, name)} belongs to attention=block: set that, or leave it out.")
        args.attention = attention
        return
    if METHODS[args.method].whole_rows:
        raise LiftError(f"method={args.method!r} takes whole rows: set attention=full.")
    inner = unwrap_model(model)
    _check_takes_blocks(inner, family)
    size = args.block_size or getattr(inner.config, "block_size", None) or family.block_size
    if size is None:
        raise LiftError(f"nothing tells the size of a block of {type(inner).__name__}: set block_size.")
    if not args.time_strata and args.timestep_distribution in ("low_discrepancy", "antithetic"):
        raise LiftError(
            f"timestep_distribution={args.timestep_distribution} spreads the times of blocks by time_strata: leave "
            "that on, or take timestep_distribution=uniform."
        )
    if args.block_padding == "eos" and getattr(args, "packing", False):
        raise LiftError("packed rows have no room for end tokens up to the next block: set block_padding=pad.")
    if args.attention is None:
        logger.info(
            "%s generates text block by block, so it is trained in blocks of %d tokens: attention=full trains whole "
            "rows.", type(inner).__name__, size,
        )  # fmt: skip
    args.attention, args.block_size = attention, size


def _check_takes_blocks(inner: Any, family: ModelFamily) -> None:
    name = type(inner).__name__
    pairs_as_taken(inner, torch.ones(1, 1, 2, 2, dtype=torch.bool, device=next(inner.parameters()).device))
    if (
        family.attention_mask == "tokens"
        and family.attention == "full"
        and inner.config.model_type not in PACKABLE_MODELS
    ):
        raise LiftError(f"{name} is not known to obey a mask of pairs of tokens: use attention='full'.")
    if not positions_of(inner).is_argument:
        raise LiftError(f"{name} takes no position_ids, which noisy and clean tokens share: use attention='full'.")


def collator_options(args: Any, tokenizer: Any) -> dict[str, Any]:
    """Return what a `MaskedDiffusionCollator` must know of blocks; nothing without them.

    Raises:
        LiftError: rows are to be filled with end tokens, and the tokenizer has none.
    """
    if args.block_size is None:
        return {}
    if args.block_padding == "pad":
        return {"block_size": args.block_size}
    if tokenizer.eos_token_id is None:
        raise LiftError(
            "block_padding=eos needs a tokenizer with an end token: set its eos_token, or block_padding=pad."
        )
    return {"block_size": args.block_size, "block_fill_id": tokenizer.eos_token_id}

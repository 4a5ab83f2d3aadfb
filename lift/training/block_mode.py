"""Whether a trainer attends to whole rows or to blocks, and what cannot be trained in blocks."""

from __future__ import annotations

import logging
from typing import Any

import torch

from lift.errors import LiftError
from lift.models.attention import PACKABLE_MODELS, pairs_as_taken
from lift.objectives import METHODS
from lift_kernels.models import ModelFamily, family_of, positions_of, unwrap_model

logger = logging.getLogger(__name__)


def resolve_attention(args: Any, model: Any, family: ModelFamily) -> None:
    """Set `args.attention`, and size and origin of blocks where that is "block", from the model where not given.

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
        if family.takes_canvas:
            raise LiftError(
                f"{type(unwrap_model(model)).__name__} writes canvases behind a text, which are its blocks: leave "
                "attention out."
            )
        for name, none in (
            ("block_size", None), ("block_padding", "pad"), ("block_origin", None), ("time_scope", "block"),
        ):  # fmt: skip
            if getattr(args, name) != none:
                raise LiftError(f"{name}={getattr(args, name)} belongs to attention=block: set that, or leave it out.")
        args.attention = attention
        return
    if METHODS[args.method].whole_rows:
        raise LiftError(f"method={args.method!r} takes whole rows: set attention=full.")
    inner = unwrap_model(model)
    _check_takes_blocks(inner, family)
    size = args.block_size or size_of_block(inner)
    if size is None:
        raise LiftError(f"nothing tells the size of a block of {type(inner).__name__}: set block_size.")
    if not args.time_strata and args.timestep_distribution in ("low_discrepancy", "antithetic"):
        raise LiftError(
            f"timestep_distribution={args.timestep_distribution} spreads the times of blocks by time_strata: leave "
            "that on, or take timestep_distribution=uniform."
        )
    origin = args.block_origin or ("answer" if family.takes_canvas else "start")
    if args.block_padding == "eos" and getattr(args, "packing", False):
        raise LiftError("packed rows have no room for end tokens up to the next block: set block_padding=pad.")
    if origin == "answer" and getattr(args, "packing", False):
        raise LiftError(
            "packed rows hold several answers, so blocks are counted from each example: set block_origin=start."
        )
    if origin == "answer" and args.block_padding == "eos":
        raise LiftError("block_padding=eos fills blocks that are counted from a row's start: set block_origin=start.")
    if args.attention is None:
        other = "" if family.takes_canvas else ": attention=full trains whole rows"
        logger.info(
            "%s generates text block by block, so it is trained in blocks of %d tokens%s.", type(inner).__name__, size,
            other,
        )  # fmt: skip
    args.attention, args.block_size, args.block_origin = attention, size, origin


def size_of_block(model: Any) -> int | None:
    """Return the tokens of a block that `model`, wrapped or not, generates text by; None where nothing tells."""
    inner = unwrap_model(model)
    family = family_of(inner)
    of_config = getattr(inner.config, "block_size", None) or getattr(inner.config, "canvas_length", None)
    return of_config or (None if family is None else family.block_size)


def _check_takes_blocks(inner: Any, family: ModelFamily) -> None:
    name = type(inner).__name__
    if family.takes_canvas:
        implementation = inner.config._attn_implementation
        if implementation not in ("sdpa", "eager"):
            raise LiftError(
                f"{name} attends by {implementation}, which takes no mask of pairs of tokens: load it with "
                "attn_implementation='sdpa'."
            )
        return
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

"""Decode a model as it was trained: block by block, where its training attended to blocks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lift.models.saved_record import block_size_of, has_random_tokens
from lift.sampling.config import SamplingConfig
from lift.sampling.presets import PRESETS, preset

logger = logging.getLogger(__name__)


def settings_as_trained(
    record: Mapping[str, str], given: Mapping[str, Any], sampler: str | None = None
) -> dict[str, Any]:
    """Return the settings that the training of a model asks for and nobody has given; empty where there are none.

    A model trained in blocks sees no later block, and its blocks are counted from the start of a row, or from its
    answer where the training did so. Whoever gives `attention`, fills masks in (`infill`), or takes a sampler that sees
    whole rows, has decided otherwise. Of a sampler that decodes in blocks the length alone gives way, and its steps
    where they are one a token. Of a model without a mask token a block is a canvas, and only its length is asked for.

    Args:
        record: of `training_record`.
        given: fields of `SamplingConfig` that somebody chose.
        sampler: a published one that they start from.
    """
    size = block_size_of(record)
    own = {} if sampler is None else PRESETS.get(sampler, {})
    attention = given.get("attention", "block_causal" if sampler is None else own.get("attention", "full"))
    if size is None or attention != "block_causal" or given.get("infill"):
        return {}
    wanted: dict[str, Any]
    if has_random_tokens(record):
        wanted = {"block_length": size}
    elif sampler is None:
        wanted = {"attention": "block_causal", "block_origin": "start", "block_length": size}
        if record.get("block_origin") == "answer":
            wanted |= {"block_origin": "answer", "uneven": "ceil"}  # the last block may be short
    else:
        wanted = {"block_length": size}
        if "block_length" not in given and own.get("steps_per_block") == own.get("block_length"):
            wanted["steps_per_block"] = size
    return {name: value for name, value in wanted.items() if name not in given}


def build_config(
    sampler: str | None, reference_quirks: bool, given: Mapping[str, Any], record: Mapping[str, str]
) -> SamplingConfig:
    """Return the settings of a decoding: those given, on those of the training, on those of the sampler.

    Args:
        sampler, reference_quirks: see `lift.sampling.preset`.
        given: fields of `SamplingConfig`.
        record: of `training_record`.

    Raises: LiftError where they do not fit together.
    """
    chosen = settings_as_trained(record, given, sampler) | dict(given)
    if sampler is None:
        return SamplingConfig().changed(**chosen)
    return preset(sampler, reference_quirks=reference_quirks, **chosen)


def how_decoded(config: SamplingConfig, record: Mapping[str, str], given: Mapping[str, Any]) -> str | None:
    """Return a sentence where blocks come from the training; None where they do not, or somebody asked for them.

    Warns where a sampler sees whole rows of a model that was trained in blocks.
    """
    size = block_size_of(record)
    if size is None or "attention" in given or config.infill or has_random_tokens(record):
        return None
    if config.attention == "full":
        logger.warning(
            "the sampler sees whole rows, and the model was trained in blocks of %d tokens: set "
            "attention=block_causal, or take another sampler", size,
        )  # fmt: skip
        return None
    return f"as in training, text is written in blocks of {config.block_length} tokens (attention=full: whole rows)"

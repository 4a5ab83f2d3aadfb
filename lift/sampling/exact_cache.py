"""Find out whether a model's code can keep the keys and values of finished blocks, by trying."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from lift.sampling.sampler import generate

logger = logging.getLogger(__name__)

# On a log-probability: so far apart may the same numbers lie that were added in another order.
_LEAST_TOLERANCE, _ROUNDINGS = 1e-4, 16


def has_exact_cache(model: nn.Module, mask_token_id: int) -> bool:
    """Return whether `generate(..., attention="block_causal", cache="prefix")` writes what it does without a cache.

    It is asked for the fourth of four tokens, in blocks of two, both ways: code that takes `past_key_values` may still
    insist on a mask of the tokens that it is fed (LLaDA 2.x), or read it otherwise.
    """
    prompt_ids = torch.arange(3, device=next(model.parameters()).device)[None]
    settings: dict[str, Any] = {
        "gen_length": 1, "block_length": 2, "attention": "block_causal", "block_origin": "start",
        "mask_token_id": mask_token_id, "return_order": True,
    }  # fmt: skip
    try:
        kept = generate(model, prompt_ids, cache="prefix", **settings)
    except Exception as error:  # code that comes with a model raises what it likes
        logger.debug("no cache, as the model refuses it: %s", error)
        return False
    plain = generate(model, prompt_ids, **settings)
    apart = (kept.confidence[0, -1].log() - plain.confidence[0, -1].log()).abs().item()
    tolerance = max(_LEAST_TOLERANCE, _ROUNDINGS * torch.finfo(next(model.parameters()).dtype).eps)
    return bool(torch.equal(kept.ids, plain.ids)) and apart <= tolerance

"""The published samplers by name: what each sets, and which quirks its code has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lift.fields import check_choice
from lift.sampling.config import SamplingConfig

_TEMPERED: dict[str, Any] = {"score_temperature": True}
_BLOCK_CAUSAL = _TEMPERED | {
    "attention": "block_causal", "block_origin": "start", "block_length": 32, "quota_of": "block",
    "quota_first": True, "stop_at": "block",
}  # fmt: skip

# Sources: ML-GSAI/LLaDA, divelab/LIFT, DreamLM/Dream, NVlabs/Fast-dLLM, inclusionAI's LLaDA 2.x, JetAstra/SDAR,
# ZHZisZZ/dllm. Lengths and numbers of steps are the caller's, but for blocks that a model was trained with.
PRESETS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "llada": {"early_stop": False},
        "lift": {"early_stop": False, "uneven": "floor", "leftover": "leave"},
        "dream": _TEMPERED | {"schedule": "dream", "filter_order": "top_p_first", "early_stop": False},
        "fast_dllm": {"early_stop": False, "leftover": "continue"},
        "llada2": _BLOCK_CAUSAL | {"threshold": 0.95, "steps_per_block": 32, "minimal_topk": 1},
        "llada2.1": _BLOCK_CAUSAL
        | {"threshold": 0.95, "num_to_transfer": 1, "editing_threshold": 0.9, "early_stop": False},
        "sdar": _BLOCK_CAUSAL
        | {"threshold": 0.85, "block_length": 4, "steps_per_block": 4, "temperature": 1.0, "cache": "prefix"},
        "dllm": {"schedule": "linear", "uneven": "ceil", "early_stop": False, "leftover": "leave"},
        "bd3lm": {
            "schedule": "linear", "uneven": "ceil", "attention": "block_causal", "block_length": 32,
            "cache": "prefix", "stop_at": "block", "leftover": "leave",
        },
    }
)  # fmt: skip

_ALL = {"mask_token": "commit", "pad_after_stop": False}
_QUIRKS: dict[str, dict[str, Any]] = {
    "llada": {"earlier_masks": True, "idle_steps": True, "leftover": "leave"},
    "lift": {"earlier_masks": True, "idle_steps": True},
    "dream": {"idle_steps": True, "batch_quota": True, "leftover": "leave"},
    "fast_dllm": {"earlier_masks": True, "second_forward": True, "factor_rule": "prefix_or_last"},
    "llada2": {"stop_needs_commit": True, "leftover": "leave"},
    "llada2.1": {},
    "sdar": {"store_last_block": True, "leftover": "leave"},
    "dllm": {"earlier_masks": True, "idle_steps": True, "factor_rule": "count"},
    "bd3lm": {"stop_at": "batch"},
}


def preset(name: str, *, reference_quirks: bool = False, **options: Any) -> SamplingConfig:
    """Return the settings of a published sampler.

    Args:
        name: "llada", "lift", "dream", "fast_dllm", "llada2", "llada2.1", "sdar", "dllm" or "bd3lm".
        reference_quirks: also what its code does beside the rule: commit the mask token where it wins, run steps that
            commit nothing, spend a block's quota on masks before it, and the like. Never its crashes.
        options: settings that differ.

    Raises: LiftError for an unknown sampler or setting, or a value that does not fit.
    """
    check_choice("sampler", name, PRESETS)
    chosen = dict(PRESETS[name])
    if reference_quirks:
        chosen |= _ALL | _QUIRKS[name]
        if name == "llada" and options.get("temperature", 0.0) > 0:
            # One chained assignment clears the end token after the proposal was drawn: only the last id counts.
            options["suppress_score_ids"] = tuple(options.get("suppress_score_ids", ()))[-1:]
        if options.get("cache") is not None:
            chosen["idle_steps"] = False  # the loops with a cache look whether a block is done
    return SamplingConfig(**(chosen | options))

"""Recorded runs of published samplers, and the same settings as `lift.generate` has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

EOS, EOT = 126081, 126348  # LLaDA's code has them as constants


@dataclass
class Case:
    """A recorded run.

    Args:
        record: its JSON.
        tensors: what stands beside it.
    """

    record: dict[str, Any]
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, folder: Path) -> Case:
        record = json.loads((folder / f"{folder.name}.json").read_text(encoding="utf-8"))
        return cls(record, load_file(folder / f"{folder.name}.safetensors"))

    @property
    def family(self) -> str:
        return self.record["family"]

    @property
    def settings(self) -> dict[str, Any]:
        return self.record["settings"]

    @property
    def mask_token_id(self) -> int:
        return self.record["stub"]["mask_token_id"]


@dataclass
class Decoding:
    """What `lift.generate` is asked to do."""

    sampler: str
    settings: dict[str, Any]
    is_positioned: bool = True
    """Positions are an argument: not those of columns."""

    is_cut: bool = False
    """The recorded answer ends with its first end token."""


def decoding_of(case: Case) -> Decoding:
    """Return the settings of a case by their names in `SamplingConfig`.

    What is absent has the published default.
    """
    return _READERS[case.family](case.settings, case.record)


def _answer(settings: dict[str, Any], length: int, block: int, steps: int) -> dict[str, Any]:
    return {
        "gen_length": settings.get("gen_length", length),
        "block_length": settings.get("block_length", block),
        "steps": settings.get("steps", steps),
        "temperature": settings.get("temperature", 0.0),
        "remasking": settings.get("remasking", "low_confidence"),
        "guidance_scale": settings.get("cfg_scale", 0.0),
    }


def _llada(settings: dict[str, Any], _: dict[str, Any]) -> Decoding:
    found = _answer(settings, 128, 128, 128)
    if settings.get("logits_eos_inf"):
        found["suppress_ids"] = (EOS,)
    if settings.get("confidence_eos_eot_inf"):
        found["suppress_score_ids"] = (EOS, EOT)
    return Decoding("llada", found, is_positioned=False)


def _lift(settings: dict[str, Any], _: dict[str, Any]) -> Decoding:
    found = _answer(settings, 128, 32, 64)
    if settings.get("is_dream"):
        found["shift"] = "zeros"
    if settings.get("function") == "generate_with_prefix_cache":
        found["cache"] = "prefix"
    return Decoding("lift", found, is_positioned=False)


def _fast_dllm(settings: dict[str, Any], _: dict[str, Any]) -> Decoding:
    cache, factor = settings.get("cache", "none"), settings.get("factor")
    found = _answer(settings, 128, 128, 128) | {"cache": None if cache == "none" else cache}
    if factor is not None:  # of a later version, which looks whether a block is done
        return Decoding("fast_dllm", found | {"factor": factor, "second_forward": False}, is_positioned=False)
    return Decoding("fast_dllm", found | {"threshold": settings.get("threshold")}, is_positioned=False)


def _dream(settings: dict[str, Any], _: dict[str, Any]) -> Decoding:
    names = {"maskgit_plus": "low_confidence", "topk_margin": "margin", "entropy": "entropy"}
    alg = settings.get("alg", "origin")
    found = {
        "gen_length": settings.get("max_new_tokens", 20), "steps": settings.get("steps", 512),
        "temperature": settings.get("temperature", 0.0), "top_k": settings.get("top_k"),
        "top_p": settings.get("top_p"), "eps": settings.get("eps", 1e-3), "shift": "repeat",
        "position_temperature": settings.get("alg_temp") or 0.0, "remasking": names.get(alg, "low_confidence"),
    }  # fmt: skip
    if alg == "origin":
        found |= {"schedule": "bernoulli", "position_temperature": 0.0}
    if alg == "confidence_threshold":
        found |= {"schedule": "carry", "threshold": settings.get("threshold", 0.9)}
    return Decoding("dream", found)


def _dllm(settings: dict[str, Any], record: dict[str, Any]) -> Decoding:
    found = _dllm_answer(settings, 128, 128)
    if record.get("method") == "infill":
        found |= {"infill": True, "gen_length": None, "earlier_masks": False}
    return Decoding("dllm", found)


def _dllm_answer(settings: dict[str, Any], block: int, steps: int) -> dict[str, Any]:
    return {
        "gen_length": settings.get("max_new_tokens", 128), "block_length": settings.get("block_size", block),
        "steps": settings.get("steps", steps), "temperature": settings.get("temperature", 0.0),
        "remasking": settings.get("remasking", "low_confidence"), "schedule": settings.get("scheduler", "linear"),
        "guidance_scale": settings.get("cfg_scale", 0.0),
        "unconditional_keep_ids": settings.get("cfg_keep_tokens") or (),
        "suppress_ids": settings.get("suppress_tokens") or (),
        "suppress_score_ids": settings.get("begin_suppress_tokens") or (),
        "shift": "repeat" if settings.get("right_shift_logits") else "none",
    }  # fmt: skip


def _dllm_fast_dllm(settings: dict[str, Any], _: dict[str, Any]) -> Decoding:
    found = _dllm_answer(settings, 128, 128)
    cache, factor = settings.get("use_cache"), settings.get("factor")
    found["suppress_ids"] = (*found["suppress_ids"], *found.pop("suppress_score_ids"))
    found |= {"guidance_scale": 0.0, "earlier_masks": False, "idle_steps": False}
    found["cache"] = None if cache == "none" else cache
    found["leftover"] = "leave" if cache == "dual" else "continue"
    found |= {"threshold": settings.get("threshold")} if factor is None else {"factor": factor}
    return Decoding("dllm", found)


def _bd3lm(settings: dict[str, Any], record: dict[str, Any]) -> Decoding:
    found = _dllm_answer(settings, 32, 128)
    return Decoding(
        "bd3lm",
        found
        | {
            "steps_per_block": settings.get("steps_per_block"),
            "stop_ids": (record["tokens"]["eos_token_id"],),
            "suppress_ids": (),
            "suppress_score_ids": (),
        },
    )


def _llada2(settings: dict[str, Any], _: dict[str, Any]) -> Decoding:
    found = {
        "gen_length": settings.get("gen_length", 2048), "block_length": settings.get("block_length", 32),
        "temperature": settings.get("temperature", 0.0), "top_k": settings.get("top_k"),
        "top_p": settings.get("top_p"), "threshold": settings.get("threshold", 0.95),
        "stop_ids": (settings.get("eos_id", 156892),),
    }  # fmt: skip
    return Decoding("llada2", found, is_cut=True)


def _llada20(settings: dict[str, Any], record: dict[str, Any]) -> Decoding:
    decoding = _llada2(settings, record)
    decoding.settings |= {
        "steps_per_block": settings.get("steps", 32), "minimal_topk": settings.get("minimal_topk", 1),
        "stop_at": "token" if settings.get("eos_early_stop") else "block",
    }  # fmt: skip
    return decoding


def _llada21(settings: dict[str, Any], record: dict[str, Any]) -> Decoding:
    decoding = _llada2(settings, record)
    decoding.sampler = "llada2.1"
    decoding.settings |= {
        "editing_threshold": settings.get("editing_threshold", 0.9),
        "max_post_steps": settings.get("max_post_steps", 16), "num_to_transfer": settings.get("num_to_transfer", 1),
        "early_stop": bool(settings.get("eos_early_stop")),
    }  # fmt: skip
    return decoding


def _sdar(settings: dict[str, Any], _: dict[str, Any]) -> Decoding:
    block, strategy = settings.get("block_length", 8), settings.get("remasking_strategy", "low_confidence_dynamic")
    is_dynamic = strategy == "low_confidence_dynamic"
    stop_ids = next((settings[name] for name in settings if name.startswith("stop")), None)
    return Decoding(
        "sdar",
        {
            "gen_length": settings.get("gen_length", 128),
            "block_length": block,
            "steps_per_block": settings.get("denoising_steps", block),
            "temperature": settings.get("temperature", 1.0),
            "top_k": settings.get("top_k") or None,
            "top_p": settings.get("top_p"),
            "remasking": "left_to_right" if strategy == "sequential" else "low_confidence",
            "threshold": settings.get("confidence_threshold", 0.85) if is_dynamic else None,
            "quota_first": is_dynamic,
            "stop_ids": (stop_ids if isinstance(stop_ids, list) else [] if stop_ids is None else [stop_ids]),
        },
    )


_READERS = {
    "llada": _llada, "lift_eval": _lift, "fastdllm": _fast_dllm, "dream": _dream, "dllm_mdlm": _dllm,
    "dllm_fastdllmllada": _dllm_fast_dllm, "dllm_bd3lm": _bd3lm, "llada2": _llada20, "llada21": _llada21, "sdar": _sdar,
}  # fmt: skip

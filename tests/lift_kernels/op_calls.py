"""A valid call of every public function that takes tensors or options, small, every argument given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import lift_kernels
from lift_kernels import LinearCrossEntropyLoss

B, L, D, V = 3, 5, 8, 20


def linear() -> dict[str, Any]:
    return {
        "hidden_states": torch.arange(B * L * D).view(B, L, D).sin(),
        "weight": torch.arange(V * D).view(V, D).cos(),
        "bias": torch.arange(V).cos(),
        "ignore_index": -100,
        "exclude_index": 19,
        "logit_scale": 0.5,
        "logit_softcap": 3.0,
        "backend": "auto",
        "workspace_bytes": 1 << 20,
    }


def labels() -> torch.Tensor:
    targets = torch.arange(B * L).view(B, L)
    targets[0, 1:] = -100  # rows of 1, 5 and 5 targets
    return targets


def linear_cross_entropy() -> dict[str, Any]:
    return linear() | {
        "targets": labels(), "token_weight": torch.linspace(0, 2, B * L).view(B, L), "reduction": "mean",
        "denominator": 7.0, "num_targets": 11, "return_stats": True,
    }  # fmt: skip


def linear_token_stats() -> dict[str, Any]:
    return linear() | {"targets": labels(), "num_targets": 11, "runner_up": True, "rank": True, "differentiable": True}


def linear_sample() -> dict[str, Any]:
    return {name: value for name, value in linear().items() if name != "ignore_index"} | {
        "temperature": 0.7, "seed": 3, "row_ids": torch.arange(B), "positions": torch.arange(L), "top_k": 7, "top_p": 0.9,
    }  # fmt: skip


def lift_cross_entropy() -> dict[str, Any]:
    return linear() | {
        "labels": labels(), "timestep": torch.tensor([0.1, 0.5, 1.0]), "num_keep": torch.tensor([1, 2, 3]),
        "order": torch.tensor([1, -1, 0]), "learnability": "hard", "temperature": 1.0, "time_scaling": True,
        "row_weight": torch.ones(B), "seed": 3, "row_ids": torch.arange(B), "reduction": "mean", "denominator": 7.0,
        "num_targets": 11, "return_stats": True, "return_learnability": True,
    }  # fmt: skip


def select_tokens() -> dict[str, Any]:
    return {
        "score": torch.linspace(-1, 0, B * L).view(B, L), "is_masked": labels() != -100,
        "num_keep": torch.tensor([1, 2, 3]), "order": torch.tensor([1, -1, 0]), "seed": 3, "row_ids": torch.arange(B),
        "backend": "auto",
    }  # fmt: skip


def corrupt_tokens() -> dict[str, Any]:
    return {
        "input_ids": torch.arange(B * L).view(B, L), "mask_prob": torch.tensor([0.1, 0.5, 1.0]), "mask_token_id": 19,
        "seed": 3, "maskable": torch.ones(B, L) > 0, "row_ids": torch.arange(B), "backend": "auto",
    }  # fmt: skip


def criterion() -> dict[str, Any]:
    names = ("ignore_index", "exclude_index", "logit_scale", "logit_softcap", "backend", "workspace_bytes")
    return {name: value for name, value in linear().items() if name in names} | {
        "reduction": "mean", "return_stats": False,
    }  # fmt: skip


OPS: dict[str, Callable[[], dict[str, Any]]] = {
    "linear_cross_entropy": linear_cross_entropy,
    "linear_token_stats": linear_token_stats,
    "linear_sample": linear_sample,
    "lift_cross_entropy": lift_cross_entropy,
    "select_tokens": select_tokens,
    "corrupt_tokens": corrupt_tokens,
}
DIFFERENTIABLE = ("linear_cross_entropy", "linear_token_stats", "lift_cross_entropy")
CALLS = OPS | {LinearCrossEntropyLoss.__name__: criterion}


def call(name: str, **changes: Any) -> Any:
    return getattr(lift_kernels, name)(**(CALLS[name]() | changes))

"""Where the published code of LIFT (arXiv 2605.22939) differs from the defaults here, and how to get its results."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lift.objectives.modes import modes_of

_PUBLISHED_SEED = 1234


@dataclass(frozen=True)
class Quirks:
    """One field for each difference; the defaults are this package's, `Quirks.published()` the published code's."""

    mode_scope: Literal["row", "batch"] = "row"
    """Whose time chooses the mode: each row's, or the mean of the micro-batch (`choose_order(scope=)`)."""

    middle_select: Literal["exact", "unordered"] = "exact"
    """The k best scores of a middle row, or the first k of a list of the largest in no order (`select_unordered`)."""

    lift_ignores_shift: bool = False
    """LIFT's losses read the logits of position i at i, also where the model predicts position i + 1 there (Dream)."""

    shift_first: Literal["exclude", "zeros"] = "exclude"
    """Position 0 of such a model: never masked (`without_first_token`), or all-zero logits."""

    score_dtype: Literal["float32", "logits"] = "float32"
    """Precision of the log-probabilities that rank tokens (`score_in_logits_dtype`): bfloat16 makes ties."""

    complementary: Literal["exact", "reference"] = "exact"
    """Denominator and precision of the second view (`complementary_batch(published=)`)."""

    gift_unsafe_div: bool = False
    """One entropy of 0 anywhere makes GIFT's loss nan (`gift_batch(unsafe_division=)`)."""

    gift_fallback: Literal["none", "collator"] = "none"
    """What GIFT trains where nothing was drawn: nothing, or a plain mask at rate t (`gift_batch(fallback=)`)."""

    eval_grid: Literal["midpoints", "linspace"] = "midpoints"
    """Times of the evaluation examples (`evaluation_time(grid=)`); linspace has t near 0."""

    @classmethod
    def published(cls) -> Quirks:
        """Return the switches that reproduce the published code."""
        return cls(
            mode_scope="batch",
            middle_select="unordered",
            lift_ignores_shift=True,
            shift_first="zeros",
            score_dtype="logits",
            complementary="reference",
            gift_unsafe_div=True,
            gift_fallback="collator",
            eval_grid="linspace",
        )


def random_orders(method: str) -> Iterator[int]:
    """Yield the published code's modes under the random policy: one a micro-batch, the same on every process."""
    modes = modes_of(method)
    generator = random.Random(_PUBLISHED_SEED)
    while True:
        yield generator.choices(modes, weights=[1 / len(modes)] * len(modes))[0]


def select_unordered(top_indices: Tensor, is_masked: Tensor, num_keep: Tensor) -> Tensor:
    """Return the first `num_keep[b]` of each row of `top_indices` where masked, (B, L) bool: the published rule.

    `top_indices` (B, K) int64 comes from `torch.topk(..., sorted=False)` with K the largest of `num_keep` (B,), so its
    first k columns are not the k best: the set is wrong where k differs between rows, and too small where a row has
    fewer than K masked tokens (B, L).
    """
    is_first = torch.arange(top_indices.shape[1], device=top_indices.device) < num_keep[:, None]
    return torch.zeros_like(is_masked).scatter(1, top_indices, is_first) & is_masked


def score_in_logits_dtype(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log-probability (B, L) of the labels in the dtype of the logits (B, L, V), 0 where a label is -100."""
    is_label = labels != -100
    log_prob = logits.log_softmax(-1).gather(-1, labels.where(is_label, 0)[..., None])[..., 0]
    return log_prob.where(is_label, 0)

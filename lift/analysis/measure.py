"""What a model says of the tokens of some examples, masked at each of several ratios, without logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lift.analysis.table import Columns
from lift.models.attention import attention_arguments
from lift.models.batches import BatchSize
from lift.models.evaluation_mode import evaluation_mode
from lift.objectives.forward_process import step_seed
from lift_kernels import corrupt_tokens
from lift_kernels.models import family_of, labelled_token_stats, unwrap_model

_UNIT = 1 << 24


@dataclass(frozen=True)
class Example:
    """A row of the data set."""

    number: int
    ids: NDArray[np.int64]
    """(L,) without padding."""

    maskable: NDArray[np.bool_]
    """(L,) whether a token belongs to a response."""


def draw_masks(
    ids: Tensor, maskable: Tensor, numbers: Tensor, ratio: float, *, mask_token_id: int, seed: int
) -> Tensor:  # fmt: skip
    """Return which tokens (E, L) bool are masked: each draw is a function of (seed, example, position, ratio).

    The draws of two ratios are independent, and a ratio has the same ones whatever the others are.
    """
    seed = step_seed(seed, round(ratio * _UNIT))
    rates = torch.full((len(ids),), ratio)
    return corrupt_tokens(
        ids, rates, mask_token_id=mask_token_id, seed=seed, maskable=maskable, row_ids=numbers
    ).is_masked  # fmt: skip


class Measurement:
    """A patched model that is asked for masked tokens.

    Examples share a forward where they have the same number of tokens: none is padded, so that a model that looks at
    padding says the same in any batch, to rounding.

    Args:
        model: patched by `apply_lift_kernels`.
        mask_token_id: of [MASK].
        ratios: of the mask, each in (0, 1], ascending.
        seed: of the draws.
        frequency: (V,) of the tokens.
        batch_size: rows a forward.
        advance: told how many pairs of example and ratio were done.
    """

    def __init__(
        self, model: Any, mask_token_id: int, ratios: Sequence[float], *, seed: int, frequency: NDArray[np.int64],
        batch_size: BatchSize, advance: Callable[[int], object] = lambda count: None,
    ) -> None:  # fmt: skip
        self._model, self._mask_token_id, self._ratios, self._seed = model, mask_token_id, ratios, seed
        self._frequency, self._batch_size, self._advance = frequency, batch_size, advance
        self._family = family_of(unwrap_model(model))

    def columns(self, examples: Sequence[Example]) -> Columns:
        """Return the rows of the table about these examples, in the order of example, ratio and position.

        An empty mapping where nothing was masked, as happens to few short examples.
        """
        by_length: dict[int, list[Example]] = {}
        for example in examples:
            by_length.setdefault(len(example.ids), []).append(example)
        found: list[Columns] = []
        for length in sorted(by_length, reverse=True):  # the largest first: what does not fit says so at once
            found += self._alike(by_length[length])
        if not found:
            return {}
        joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        order = np.lexsort((joined["position"], joined["ratio"], joined["example"]))
        return {name: values[order] for name, values in joined.items()}

    def _alike(self, examples: Sequence[Example]) -> list[Columns]:
        """Return the rows about examples of one length."""
        ids = torch.from_numpy(np.stack([example.ids for example in examples]))
        maskable = torch.from_numpy(np.stack([example.maskable for example in examples]))
        numbers = torch.tensor([example.number for example in examples])
        draw = {"mask_token_id": self._mask_token_id, "seed": self._seed}
        masks = torch.stack([draw_masks(ids, maskable, numbers, ratio, **draw) for ratio in self._ratios])
        pairs = masks.any(2).nonzero().tolist()  # (ratio, example), of which there is something to say
        self._advance(masks.shape[0] * masks.shape[1] - len(pairs))
        found = []
        for batch, stats in self._batch_size.batches(pairs, lambda chunk: self._forward(ids, masks, chunk)):
            ratio, row = torch.tensor(batch).T
            place, position = masks[ratio, row].nonzero().T
            token = ids[row[place], position].numpy()
            found.append(
                {
                    "example": numbers[row[place]].numpy(),
                    "position": position.numpy(),
                    "token": token,
                    "frequency": self._frequency[token],
                    "ratio": np.asarray(self._ratios, dtype=np.float32)[ratio[place].numpy()],
                    **stats,
                }
            )
            self._advance(len(batch))
        return found

    def _forward(self, ids: Tensor, masks: Tensor, pairs: Sequence[list[int]]) -> Columns:
        """Return what the model says of the masked tokens of some pairs, in their order, on the host."""
        device = next(self._model.parameters()).device
        ratio, row = torch.tensor(pairs).T
        clean, is_masked = ids[row].to(device), masks[ratio, row].to(device)
        corrupted = clean.masked_fill(is_masked, self._mask_token_id)
        inputs = {"input_ids": corrupted, "attention_mask": torch.ones_like(corrupted)}
        with evaluation_mode(self._model), torch.no_grad():
            arguments = {"input_ids": corrupted} | attention_arguments(self._family, self._model, inputs)
            stats = labelled_token_stats(self._model, arguments, clean.masked_fill(~is_masked, -100))
        values = {
            "log_prob": stats.log_prob, "confidence": stats.max_log_prob.exp(), "prediction": stats.argmax,
            "runner_up_log_prob": stats.runner_up_log_prob, "rank": stats.rank,
            "entropy": stats.entropy,
        }  # fmt: skip
        return {name: value.cpu().numpy() for name, value in values.items()}

"""How a model is judged: what it writes in few and in many steps, and the likelihood it gives to masked tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from benchmarks.study.tasks import Row
from lift import generate, prepare_dataset
from lift_kernels import corrupt_tokens

MASK_RATES = (0.1, 0.3, 0.5, 0.7, 0.9)
_MASK_SEED = 7
_BATCH = 50  # what a core's cache holds: 200 rows at once took 1.6 times as long


class RowsToJudge:
    """Rows of one length, as ids.

    Args:
        rows: whose prompts have one length, and whose responses have one.
        tokenizer: whose `model_max_length` no row exceeds.
    """

    def __init__(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast) -> None:
        self._mask_token_id = tokenizer.mask_token_id
        data = prepare_dataset(
            [row._asdict() for row in rows], tokenizer, max_length=tokenizer.model_max_length, show_progress=False
        )
        (self._prompt_length,) = set(data["prompt_length"])
        self._ids = torch.tensor(data["input_ids"][:])

    def written(self, model: Any, steps: int | None = None) -> dict[str, float]:
        """Let `model` write the responses in `steps` forwards (None: one token each).

        Returns: the shares, in [0, 1], of right answers, the word before the end token, and of whole responses.
        """
        is_right = self.write(model, steps) == self.expected
        return {"answers": _share(is_right[:, -2]), "responses": _share(is_right.all(1))}

    @property
    def expected(self) -> Tensor:
        """(rows, response length) ids of the responses, their end tokens included."""
        return self._ids[:, self._prompt_length :]

    def write(self, model: Any, steps: int | None = None) -> Tensor:
        """Let `model` write the responses in `steps` forwards (None: one token each).

        Returns: (rows, response length) ids, as `expected` has them.
        """
        written = [
            generate(model, prompts, gen_length=self.expected.shape[1], steps=steps, mask_token_id=self._mask_token_id)
            for prompts in self._ids[:, : self._prompt_length].split(_BATCH)
        ]
        return torch.cat(written)[:, self._prompt_length :]

    @torch.no_grad()
    def nll(self, model: Any) -> list[float]:
        """Return the mean loss of masked tokens in nats at each of `MASK_RATES`; the masks are always the same.

        `model` is one that `apply_lift_kernels` patched.
        """
        is_response = (torch.arange(self._ids.shape[1]) >= self._prompt_length).expand_as(self._ids)
        found = []
        for rate in MASK_RATES:
            masked = corrupt_tokens(
                self._ids, torch.full((len(self._ids),), rate), mask_token_id=self._mask_token_id,
                seed=_MASK_SEED, maskable=is_response,
            )  # fmt: skip
            labels = self._ids.where(masked.is_masked, -100)
            found.append(float(model.eval()(input_ids=masked.input_ids, labels=labels).loss))
        return found


def _share(is_right: Tensor) -> float:
    return float(is_right.double().mean())

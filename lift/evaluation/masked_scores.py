"""Log-probabilities of masked tokens, many sets of several texts in batches without padding, and no logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lift.errors import LiftError
from lift.evaluation.likelihood import MaskPlan
from lift.learnability import score_rows
from lift.models.attention import attention_arguments
from lift.models.batches import BatchSize
from lift.models.block_attention import beside_clean
from lift.models.evaluation_mode import evaluation_mode
from lift.objectives.blocks import Blocks
from lift.sampling.renoised import writes_by_renoising
from lift_kernels.models import family_of, unwrap_model


@dataclass(frozen=True)
class MaskedText:
    """A continuation behind its context, and the sets of it to mask."""

    context_ids: Sequence[int]
    continuation_ids: Sequence[int]
    plan: MaskPlan

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.context_ids) + len(self.continuation_ids)


class MaskedScorer:
    """A patched model that is asked for masked tokens.

    Args:
        model: patched by `apply_lift_kernels`.
        mask_token_id: of [MASK].
        batch_size: rows a forward.
        block_size: of a model that sees no later block; its rows go through it with the clean ones behind them.
        from_answer: blocks are counted from the continuation, not from the context.
    """

    def __init__(
        self, model: Any, mask_token_id: int, batch_size: BatchSize, block_size: int | None = None, *,
        from_answer: bool = False,
    ) -> None:  # fmt: skip
        self._model, self._mask_token_id, self._batch_size = model, mask_token_id, batch_size
        self._block_size, self._from_answer = block_size, from_answer
        self._family = family_of(unwrap_model(model))

    def score(self, texts: Sequence[MaskedText]) -> Iterator[tuple[int, Tensor]]:
        """Yield the number of each text and log_prob (n, L) float32 of its sets, 0 where not masked, as they are done.

        Rows of several texts share a forward where they have the same number of tokens, so that none is padded: a model
        that looks at padding says the same.

        Raises: LiftError if the model fills in no masks.
        """
        if writes_by_renoising(self._model):
            raise LiftError(
                f"{type(unwrap_model(self._model)).__name__} rewrites random tokens and fills in no masks, by which "
                "likelihoods are estimated: choose tasks that score what is generated."
            )
        by_length: dict[int, list[int]] = {}
        for number, text in enumerate(texts):
            by_length.setdefault(text.length, []).append(number)
        for length in sorted(by_length, reverse=True):  # the largest first: what does not fit says so at once
            yield from self._score_alike([(number, texts[number]) for number in by_length[length]])

    def _score_alike(self, texts: Sequence[tuple[int, MaskedText]]) -> Iterator[tuple[int, Tensor]]:
        rows = [(place, row) for place, (_, text) in enumerate(texts) for row in range(len(text.plan.is_masked))]
        done: list[list[Tensor]] = [[] for _ in texts]
        for batch in self._batch_size.batches(
            rows, lambda chunk: self._forward([texts[i][1] for i, _ in chunk], chunk)
        ):
            for (place, _), log_prob in zip(*batch, strict=True):
                number, text = texts[place]
                done[place].append(log_prob[len(text.context_ids) :])
                if len(done[place]) == len(text.plan.is_masked):
                    yield number, torch.stack(done[place])
                    done[place] = []

    def _forward(self, texts: Sequence[MaskedText], rows: Sequence[tuple[int, int]]) -> Tensor:
        """Return log_prob (B, T) float32 on the host."""
        device = next(self._model.parameters()).device
        ids = torch.tensor([[*text.context_ids, *text.continuation_ids] for text in texts])
        is_masked = torch.zeros_like(ids, dtype=torch.bool)
        for i, (text, (_, row)) in enumerate(zip(texts, rows, strict=True)):
            is_masked[i, len(text.context_ids) :] = text.plan.is_masked[row]
        ids, is_masked = ids.to(device), is_masked.to(device)
        corrupted = ids.masked_fill(is_masked, self._mask_token_id)
        labels = ids.masked_fill(~is_masked, -100)
        inputs: dict[str, Any] = {"input_ids": corrupted}
        forward = self._model
        if self._block_size is None:
            inputs["attention_mask"] = torch.ones_like(corrupted)
        else:
            origin = torch.tensor([len(text.context_ids) for text in texts]) if self._from_answer else None
            inputs["blocks"] = Blocks.of_rows(ids.shape[0], ids.shape[1], self._block_size, origin=origin)
            forward = beside_clean(forward, ids)
        every_row = torch.arange(len(ids), device=device)
        with evaluation_mode(self._model), torch.no_grad():
            stats = score_rows(
                forward, corrupted, labels, every_row,
                **attention_arguments(self._family, self._model, inputs),
            )  # fmt: skip
        return stats.log_prob.float().cpu()

"""The loss of each example at each of several times, under several masks, without gradient and without logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from lift.analysis.measure import Example
from lift.models.attention import attention_arguments
from lift.models.batches import BatchSize
from lift.models.evaluation_mode import evaluation_mode
from lift.objectives.blocks import Blocks
from lift.objectives.forward_process import step_seed
from lift_kernels.models import family_of, labelled_token_stats, unwrap_model
from lift_kernels.philox import CORRUPT_STREAM, random_words, uniforms


def losses_by_time(
    model: Any, examples: Sequence[Example], times: Sequence[float], *, num_masks: int, mask_token_id: int, seed: int,
    batch_size: BatchSize, block_size: int | None = None, from_answer: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the loss of SFT of each example by itself, (N, times, masks), in nats per token of its response.

        (1 / number of its maskable tokens) sum over masked i of  CE_i / t

    0 where nothing is masked, nan for an example without a maskable token. Mask m is that of uniform draws which are a
    function of (seed, m, example, position) and the same at all times: what is masked at a time is masked at every
    later one, so that noise of the masks moves a curve over time more than it bends it.

    With `block_size` each block is an example of its own, behind the clean blocks before it, as it is in training; N is
    then the number of blocks of all examples, in order.

    Args:
        model: patched by `apply_lift_kernels`, whole on this process.
        examples: the rows.
        times: t, the mask rates, each in (0, 1].
        num_masks: at each time.
        mask_token_id: of [MASK].
        seed: of the draws.
        batch_size: rows a forward; only rows of one length share one, so that nothing is padded.
        block_size: of a model that is trained in blocks.
        from_answer: count them anew from each example's first maskable token.
        advance: told how many triples of time, mask and example were done.
    """
    by_length: dict[int, list[int]] = {}
    for index, example in enumerate(examples):
        by_length.setdefault(len(example.ids), []).append(index)
    found: dict[int, NDArray[np.float64]] = {}
    for length in sorted(by_length, reverse=True):  # the largest first: what does not fit says so at once
        same = [examples[index] for index in by_length[length]]
        alike = _Alike(same, times, num_masks, seed, block_size or length, from_answer=from_answer)
        losses = alike.losses(model, mask_token_id, batch_size, advance, in_blocks=block_size is not None)
        found.update(zip(by_length[length], losses, strict=True))
    return np.concatenate([found[index] for index in range(len(examples))])


class _Alike:
    """Examples of one length, with their masks; E of them, of L tokens."""

    def __init__(
        self, examples: Sequence[Example], times: Sequence[float], num_masks: int, seed: int, size: int, *,
        from_answer: bool,
    ) -> None:  # fmt: skip
        self._ids = torch.from_numpy(np.stack([example.ids for example in examples]))
        self._maskable = torch.from_numpy(np.stack([example.maskable for example in examples]))
        self._rates = torch.tensor(times, dtype=torch.float32)
        origin = self._maskable.int().argmax(1) if from_answer else None
        self._blocks = Blocks.of_rows(len(examples), self._ids.shape[1], size, origin=origin)
        numbers = torch.tensor([example.number for example in examples])
        words = (
            random_words(step_seed(seed, m), numbers, self._ids.shape[1], CORRUPT_STREAM) for m in range(num_masks)
        )
        self._draws = torch.stack([uniforms(word) for word in words])  # (masks, E, L)

    def losses(
        self, model: Any, mask_token_id: int, batch_size: BatchSize, advance: Callable[[int], object], *,
        in_blocks: bool,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Return them, (E, blocks of each, times, masks)."""
        num_examples, num_masks = len(self._ids), len(self._draws)
        shape = (num_examples, self._blocks.per_row, len(self._rates), num_masks)
        totals = torch.zeros(shape, dtype=torch.float64)
        is_any = torch.stack([self._masked(self._draws, rate).any(-1) for rate in self._rates])  # (times, masks, E)
        triples = is_any.nonzero().tolist()
        advance(is_any.numel() - len(triples))

        def run(chunk: Sequence[list[int]]) -> Tensor:
            time, mask, row = torch.tensor(chunk).T
            is_masked = self._masked(self._draws[mask, row], self._rates[time, None], self._maskable[row])
            blocks = self._blocks.take(row)
            nll = torch.zeros(is_masked.shape, dtype=torch.float64)
            nll[is_masked] = _nll(model, self._ids[row], is_masked, mask_token_id, blocks if in_blocks else None)
            return blocks.fold(nll, 0).sum(1).view(len(chunk), -1)

        for batch, sums in batch_size.batches(triples, run):
            time, mask, row = torch.tensor(batch).T
            totals[row, :, time, mask] = sums
            advance(len(batch))
        num_tokens = self._blocks.fold(self._maskable, False).sum(1).view(num_examples, -1, 1, 1)
        losses = totals / (num_tokens * self._rates.double()[:, None])
        # What a broken model says is not to pass for a row without tokens.
        return losses.nan_to_num(nan=torch.inf).masked_fill(num_tokens == 0, torch.nan).numpy()

    def _masked(self, draws: Tensor, rate: Tensor, maskable: Tensor | None = None) -> Tensor:
        return (self._maskable if maskable is None else maskable) & (draws < rate)


def _nll(model: Any, clean: Tensor, is_masked: Tensor, mask_token_id: int, blocks: Blocks | None) -> Tensor:
    """Return -log p of the masked tokens of clean (R, L), in order, in float64 on the host."""
    device = next(model.parameters()).device
    clean, is_masked = clean.to(device), is_masked.to(device)
    noisy, labels = clean.masked_fill(is_masked, mask_token_id), clean.masked_fill(~is_masked, -100)
    inputs: dict[str, Any] = {"input_ids": noisy}
    if blocks is None:
        inputs["attention_mask"] = torch.ones_like(noisy)
        given = noisy
    else:
        inputs["blocks"] = blocks
        given, labels = torch.cat([noisy, clean], 1), pad(labels, (0, clean.shape[1]), value=-100)
    with evaluation_mode(model), torch.no_grad():
        arguments = attention_arguments(family_of(unwrap_model(model)), model, inputs)
        stats = labelled_token_stats(model, {"input_ids": given} | arguments, labels)
    return -stats.log_prob.double().cpu()

"""Noise for models without a mask token: a corrupted token becomes any token of the vocabulary.

The objectives need not know. They write the mask token that they are given, here the first id beyond the vocabulary,
and before anyone sees the row each of these is replaced by a random token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch
from lift_kernels.philox import random_words

_TOKEN_STREAM = 5  # counter word c3, see `forward_process`


def draw_token_ids(seed: int, example_id: Tensor, length: int, vocab_size: int) -> Tensor:
    """Return token ids (B, length) int64 in [0, vocab_size), all alike likely but for vocab_size / 2^32.

    Each is a function of (seed, example_id (B,), position), as a mask is, and independent of that mask.
    """
    return (random_words(seed, example_id, length, _TOKEN_STREAM) * vocab_size) >> 32


@dataclass(frozen=True)
class UniformNoise:
    """What becomes of corrupted tokens in a micro-batch of B rows.

    A token that is corrupted in both forwards of a step, or in two views of a row, is the same one in both.

    Source: Austin et al., "Structured denoising diffusion models in discrete state-spaces" (D3PM, arXiv 2107.03006),
    appendix A.2.1, of which this is the uniform process; a token may be drawn in its own place.
    """

    vocab_size: int
    """Also the id that stands for a corrupted token, which no token has."""

    seed: int

    example_id: Tensor  # (B,) int64

    def fill(self, input_ids: Tensor) -> Tensor:
        """Return input_ids (B, L), or those of n views (n B, L), with a random token where one is corrupted."""
        tokens = draw_token_ids(self.seed, self.example_id, input_ids.shape[1], self.vocab_size)
        views = input_ids.shape[0] // max(self.example_id.shape[0], 1)
        return torch.where(input_ids == self.vocab_size, tokens.repeat(views, 1), input_ids)

    def before(self, ask: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return `ask(input_ids, ...)`, a question to the model, for rows that are filled first."""

        def run(input_ids: Tensor, *others: Tensor) -> Tensor:
            return ask(self.fill(input_ids), *others)

        return run


def train_all_positions(batch: DenoisingBatch, clean_ids: Tensor, maskable: Tensor) -> DenoisingBatch:
    """Return `batch` with a label, of weight 1, wherever noise may fall: also where none fell.

    A model that no mask token tells what is corrupted learns by this to leave alone what is right.

    Args:
        batch: (n B, L), of n views.
        clean_ids: (B, L) int64.
        maskable: (n B, L) bool.

    Source: the fine-tuning of DiffusionGemma in NeMo AutoModel (github.com/NVIDIA-NeMo/Automodel), whose loss is the
    mean cross-entropy of these positions, without the weight 1/t.
    """
    views = maskable.shape[0] // max(clean_ids.shape[0], 1)
    labels = clean_ids.repeat(views, 1).where(maskable, -100)
    return batch._replace(labels=labels, token_weight=torch.ones_like(batch.token_weight))

"""Learnability by token frequency: what the responses say often is easy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lift.atomic_write import atomic_write
from lift.errors import LiftError
from lift.learnability.source import ScoreSource

_FILE = "token_frequency.safetensors"
_BLOCK = 1 << 20  # tokens counted at once: bounds the memory beside the table


class TokenFrequency(ScoreSource):
    """Scores a token by the logarithm of its relative frequency in the responses, whatever its context.

    Equal tokens of a row tie, and `lift_kernels.select_tokens` gives ties to the lower position.

    Args:
        log_frequency: (V,) float32, natural logarithm of each token's relative frequency.

    Source: this package's; the analysis beside LIFT (arXiv 2605.22939) finds frequent tokens learned first.
    """

    def __init__(self, log_frequency: Tensor) -> None:
        self.log_frequency = log_frequency

    @classmethod
    def count(
        cls,
        input_ids: Collection[Sequence[int]],
        vocab_size: int,
        prompt_length: Collection[int],
        *,
        pad_token_id: int | None = None,
    ) -> TokenFrequency:
        """Count the responses: log((c_v + 1) / (N + V)) for a token seen c_v times among N.

        Args:
            input_ids: each row's token ids, prompt then response, such as the column of `prepare_dataset`.
            vocab_size: V, rows of the model's head.
            prompt_length: tokens of each row's prompt; they are not counted.
            pad_token_id: also count the pads that bring every row to the longest one's length, as is right where
                pads are trained (`pad_in_loss`): otherwise they would rank as the rarest tokens of all.

        Raises: LiftError if an id lies outside the vocabulary, or there is not one prompt length for each row.
        """
        if len(input_ids) != len(prompt_length):
            raise LiftError(f"each of the {len(input_ids)} rows needs one prompt length, got {len(prompt_length)}.")
        counts = np.zeros(vocab_size, dtype=np.int64)
        lengths: list[int] = []

        def responses() -> Iterator[npt.NDArray[np.int64]]:
            for ids, length in zip(input_ids, prompt_length, strict=True):
                lengths.append(len(ids))
                yield np.asarray(ids[int(length) :], dtype=np.int64)

        for block in _blocks(responses()):
            if block.size and not 0 <= block.min() <= block.max() < vocab_size:
                outside = int(block[(block < 0) | (block >= vocab_size)][0])
                raise LiftError(
                    f"a response has the token id {outside}, outside the model's vocabulary of {vocab_size}: tokenise "
                    "the data with the model's own tokenizer."
                )
            counts += np.bincount(block, minlength=vocab_size)
        if pad_token_id is not None and lengths:
            if not 0 <= pad_token_id < vocab_size:
                raise LiftError(f"pad_token_id must lie between 0 and {vocab_size - 1}, got {pad_token_id}.")
            counts[pad_token_id] += max(lengths) * len(lengths) - sum(lengths)
        return cls(torch.from_numpy(np.log((counts + 1) / (counts.sum() + vocab_size))).float())

    def scores(self, clean_ids: Tensor) -> Tensor:
        """Return the log frequency (B, L) float32, in nats, of clean_ids (B, L) int64, on its device."""
        if self.log_frequency.device != clean_ids.device:
            self.log_frequency = self.log_frequency.to(clean_ids.device)  # once, not each micro-batch
        # Unlike plain indexing, index_select does not take a stray -100 for a token counted from the end.
        return self.log_frequency.index_select(0, clean_ids.flatten()).view(clean_ids.shape)

    def score_batch(self, example_id: Tensor, clean_ids: Tensor) -> Tensor:
        return self.scores(clean_ids)

    def update(self, example_id: Tensor, positions: Tensor, log_prob: Tensor) -> None:
        """Do nothing: the frequencies of a data set do not change."""

    def save(self, folder: str | PathLike[str]) -> None:
        """Write the table, 4 V bytes. Processes may do so at once: they write the same bytes, each atomically."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / _FILE) as file:
            file.write(save({"log_frequency": self.log_frequency.cpu()}))

    @classmethod
    def load(cls, folder: str | PathLike[str], vocab_size: int) -> TokenFrequency:
        """Read what `save` wrote, to the bit.

        Raises: LiftError if there is no such file, it is damaged, or it was counted for another vocabulary.
        """
        path = Path(folder) / _FILE
        try:
            log_frequency = load(path.read_bytes())["log_frequency"]
        except FileNotFoundError:
            raise LiftError(f"there is no {_FILE} in {folder}: count the data set again.") from None
        except (SafetensorError, KeyError):
            raise LiftError(f"{path} is damaged: delete it and count the data set again.") from None
        if log_frequency.shape != (vocab_size,):
            raise LiftError(
                f"{path} was counted for a vocabulary of {log_frequency.numel()}, the model's has {vocab_size}: count "
                "the data set again."
            )
        return cls(log_frequency)


def _blocks(arrays: Iterable[npt.NDArray[np.int64]]) -> Iterator[npt.NDArray[np.int64]]:
    block: list[npt.NDArray[np.int64]] = []
    size = 0
    for array in arrays:
        block.append(array)
        size += array.size
        if size >= _BLOCK:
            yield np.concatenate(block)
            block, size = [], 0
    if block:
        yield np.concatenate(block)

"""Write answers to prompts in batches, each named by its prompt and copy, and look them up where they exist."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lift.data import cut_at_end
from lift.evaluation.answer_store import AnswerStore, key_of, number_of
from lift.evaluation.loaded_model import LoadedModel
from lift.models.batches import BatchSize
from lift.sampling import Generation, SamplingConfig, generate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prompt:
    """One answer that is wanted."""

    ids: tuple[int, ...]
    copy: int
    """0 for the first answer to a prompt, 1 for the next."""

    config: SamplingConfig


@dataclass(frozen=True)
class Answer:
    """What was written, and how."""

    ids: list[int]
    """The response, all its gen_length tokens; with infill the whole text."""

    unmask_step: list[int]
    """The forward, from 0, after which each of them stood there; -1 for padding."""

    seconds: float
    """Of its batch, shared among the rows."""

    @property
    def num_forwards(self) -> int:
        """Forwards until its last token stood there."""
        return max(self.unmask_step, default=-1) + 1


class Writer:
    """Answers prompts.

    Args:
        loaded: the model.
        batch_size: rows a forward.
        store: where answers are looked up and kept.
        digest: stands for the weights in their keys.
    """

    def __init__(self, loaded: LoadedModel, batch_size: BatchSize, store: AnswerStore, digest: str) -> None:
        self._loaded, self._batch_size, self._store, self._digest = loaded, batch_size, store, digest
        self.num_forwards = 0
        """Calls of the model so far."""

    def answers(
        self, prompts: Sequence[Prompt], on_progress: Callable[[Generation], None] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Yield the number of each prompt and its answer, as they are there; what is kept already comes first.

        `on_progress` is called after each step, with the rows of its batch: see `generate`.
        """
        keys = [self.key(prompt) for prompt in prompts]
        missing: dict[str, list[int]] = {}
        for number, key in enumerate(keys):
            if (record := self._store.get(key)) is not None:
                yield number, Answer(**record)
            else:
                missing.setdefault(key, []).append(number)
        groups: dict[Any, list[int]] = {}
        for number, *_ in missing.values():
            prompt = prompts[number]
            length = len(prompt.ids) if self._loaded.needs_equal_lengths else 0
            groups.setdefault((prompt.config, length), []).append(number)
        for (config, _), numbers in groups.items():
            # The longest first: what does not fit into memory says so at once.
            ordered = sorted(numbers, key=lambda number: -len(prompts[number].ids))

            def run(batch: Sequence[int], config: SamplingConfig = config) -> list[Answer]:
                return self._write([prompts[number] for number in batch], config, on_progress)

            for batch, written in self._batch_size.batches(ordered, run):
                self._store.add({keys[n]: dataclasses.asdict(answer) for n, answer in zip(batch, written, strict=True)})
                for first, answer in zip(batch, written, strict=True):
                    for number in missing[keys[first]]:
                        yield number, answer

    def key(self, prompt: Prompt) -> str:
        """Return the name of an answer: a hash of weights, settings, prompt and copy."""
        settings = dataclasses.asdict(prompt.config) | {"mask_token_id": self._loaded.mask_token_id}
        return key_of("generate", self._digest, settings, prompt.ids, prompt.copy)

    def text(self, answer: Answer, *, keep_special_tokens: bool = False) -> str:
        """Return an answer as text, up to its first end token."""
        ids = answer.ids if keep_special_tokens else cut_at_end(answer.ids, self._loaded.end_ids)
        return str(self._loaded.tokenizer.decode(ids, skip_special_tokens=not keep_special_tokens))

    def num_tokens(self, answer: Answer) -> int:
        """Return how many tokens were written, the end token included."""
        return min(len(answer.ids), len(cut_at_end(answer.ids, self._loaded.end_ids)) + 1)

    def _write(
        self, prompts: Sequence[Prompt], config: SamplingConfig, on_progress: Callable[[Generation], None] | None
    ) -> list[Answer]:
        loaded = self._loaded
        start = time.perf_counter()
        width = max(len(prompt.ids) for prompt in prompts)
        device = next(loaded.model.parameters()).device
        ids = torch.tensor([[0] * (width - len(prompt.ids)) + list(prompt.ids) for prompt in prompts], device=device)
        mask = torch.tensor(
            [[0] * (width - len(prompt.ids)) + [1] * len(prompt.ids) for prompt in prompts], device=device
        )
        # Draws are named by prompt and copy, whatever else stands in the batch.
        names = [number_of(prompt.ids, prompt.copy) for prompt in prompts]
        found = generate(
            loaded.model, ids.long(), config=config, mask_token_id=loaded.mask_token_id,
            attention_mask=None if bool(mask.all()) else mask, pad_token_id=loaded.tokenizer.pad_token_id,
            row_ids=torch.tensor(names, device=device), on_progress=on_progress, return_order=True,
        )  # fmt: skip
        self.num_forwards += found.num_forwards
        seconds = (time.perf_counter() - start) / len(prompts)
        begins = [width - len(prompt.ids) if config.infill else width for prompt in prompts]
        return [
            Answer(row[begin:], step[begin:], seconds)
            for row, step, begin in zip(found.ids.tolist(), found.unmask_step.tolist(), begins, strict=True)
        ]

"""Likelihoods of many continuations: looked up, or estimated in batches and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from lift.evaluation.answer_store import AnswerStore, key_of, number_of
from lift.evaluation.block_likelihood import plan_blocks
from lift.evaluation.likelihood import MaskPlan, plan_masks
from lift.evaluation.likelihood_options import LikelihoodOptions
from lift.evaluation.loaded_model import LoadedModel
from lift.evaluation.log_likelihood import LogLikelihood
from lift.evaluation.masked_scores import MaskedScorer, MaskedText
from lift.models.batches import BatchSize
from lift.sampling import generate

Pair = tuple[list[int], list[int]]


class LikelihoodRequests:
    """Estimates the log-likelihood of continuations behind their contexts.

    The sets that are masked are named by the context and the continuation's length, so that the batch changes nothing,
    and choices of one question that are equally long are compared under the same sets.

    Args:
        loaded: the model.
        batch_size: rows a forward.
        store: where estimates are looked up and kept.
        digest: stands for the weights in their keys.
        options: of the estimator.
        seed: of its draws.
        block_size: of a model that is taken to see no later block; None for whole rows.
        from_answer: blocks are counted from the continuation, not from the context.
    """

    def __init__(
        self, loaded: LoadedModel, batch_size: BatchSize, store: AnswerStore, digest: str, options: LikelihoodOptions,
        seed: int, block_size: int | None = None, *, from_answer: bool = False,
    ) -> None:  # fmt: skip
        self._loaded, self._store, self._digest = loaded, store, digest
        self._options, self._seed = options, seed
        self._block_size, self._from_answer = block_size, from_answer
        self._scorer = MaskedScorer(loaded.model, loaded.mask_token_id, batch_size, block_size, from_answer=from_answer)

    def pairs(self, pairs: Sequence[Pair], *, show_progress: bool = False) -> list[tuple[float, bool]]:
        """Return the bound in nats of each continuation, and whether greedy decoding writes it."""
        found = self._estimates(pairs, show_progress)
        return [(estimate.value, self._is_greedy(pair)) for estimate, pair in zip(found, pairs, strict=True)]

    def sums(self, texts: Sequence[Sequence[Pair]], *, show_progress: bool = False) -> list[float]:
        """Return for each text the sum over its windows."""
        found = iter(self._estimates([pair for windows in texts for pair in windows], show_progress))
        return [float(sum(next(found).value for _ in windows)) for windows in texts]

    def _estimates(self, pairs: Sequence[Pair], show_progress: bool) -> list[LogLikelihood]:
        keys = [self._key("likelihood", pair, dataclasses.asdict(self._options)) for pair in pairs]
        todo = [n for n, key in enumerate(keys) if self._store.get(key) is None and pairs[n][1]]
        todo = list({keys[n]: n for n in todo}.values())  # one of each
        texts = [MaskedText(*pairs[n], self._plan(pairs[n])) for n in todo]
        bar = tqdm(total=len(todo), disable=not show_progress, desc="likelihoods")
        for number, log_prob in self._scorer.score(texts):
            estimate = texts[number].plan.estimate(log_prob)
            self._store.add({keys[todo[number]]: estimate._asdict()})
            bar.update()
        bar.close()
        nothing = LogLikelihood(0.0, 0.0, 1, 0)._asdict()  # of an empty text
        return [LogLikelihood(**(self._store.get(key) or nothing)) for key in keys]

    def _plan(self, pair: Pair) -> MaskPlan:
        if self._block_size is None:
            return self._sets(len(pair[1]), number_of(self._seed, pair[0]))
        return plan_blocks(
            0 if self._from_answer else len(pair[0]), len(pair[1]), self._block_size,
            lambda block, length: self._sets(length, number_of(self._seed, pair[0], block)),
        )  # fmt: skip

    def _sets(self, num_tokens: int, seed: int) -> MaskPlan:
        options = self._options
        return plan_masks(
            num_tokens, seed=seed, num_forwards=options.num_forwards, num_replicates=options.num_replicates,
            estimator=options.estimator, published_batch_size=options.published_batch_size,
        )  # fmt: skip

    def _is_greedy(self, pair: Pair) -> bool:
        """Decode as many tokens, the most confident first, until one is not the continuation's."""
        if not self._options.greedy_check or not pair[1]:
            return False
        key = self._key("greedy", pair)
        if (kept := self._store.get(key)) is not None:
            return bool(kept["is_greedy"])
        wanted = torch.tensor(pair[1])
        attention: dict[str, Any] = {"attention": "full"} if self._block_size is None else {}  # else as trained
        prompt_ids = torch.tensor([pair[0]], dtype=torch.int64, device=next(self._loaded.model.parameters()).device)

        def look(_step: int, ids: torch.Tensor) -> None:
            written = ids[0, len(pair[0]) :].cpu()
            if ((written != wanted) & (written != self._loaded.mask_token_id)).any():
                raise _Differs

        try:
            generate(
                self._loaded.model, prompt_ids, gen_length=len(wanted), mask_token_id=self._loaded.mask_token_id,
                suppress_ids=self._loaded.unknown_ids, on_step=look, **attention,
            )  # fmt: skip
            is_greedy = True
        except _Differs:
            is_greedy = False
        self._store.add({key: {"is_greedy": is_greedy}})
        return is_greedy

    def _key(self, kind: str, pair: Pair, *settings: Any) -> str:
        blocks: list[dict[str, Any]] = [] if self._block_size is None else [{"block_size": self._block_size}]
        if blocks and self._from_answer:
            blocks[0]["block_origin"] = "answer"
        return key_of(kind, self._digest, self._loaded.mask_token_id, self._seed, pair, *settings, *blocks)


class _Differs(Exception):
    """A token of a greedy answer is not the wanted one."""

"""How easy each masked token is for the model now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lift.data.collated_batch import CollatedBatch, host_example_id
from lift.learnability import ScoreSource, score_rows
from lift.models.attention import attention_arguments
from lift.models.block_attention import in_blocks
from lift.models.evaluation_mode import evaluation_mode
from lift.objectives import METHODS, MIDDLE, Draws, LiftOptions, TrainingBatch
from lift_kernels import TokenStats
from lift_kernels.models import ModelFamily


@dataclass
class Scorer:
    """Asks the model in a forward without gradient, or a score source in its place."""

    options: LiftOptions
    family: ModelFamily
    label_arguments: dict[str, Any]
    """How the patched forward is to take labels: see `lift.training.batch_builder.label_arguments`."""

    logits_dtype: torch.dtype = torch.float32
    """The dtype that the model's logits would have, for score_dtype=logits."""

    num_processes: int = 1
    source: ScoreSource | None = None
    """What scores training rows in place of the model, or None."""

    _observed: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def statistics(self, call: ScoringCall, corrupted_ids: Tensor, labels: Tensor, rows: Tensor) -> TokenStats:
        """Return statistics (B, L) of the labels in `rows` (R,) without gradient, dropout off; 0 in the other rows."""
        attention = attention_arguments(self.family, call.module, call.inputs, rows=rows)
        forward = call.forward
        if "blocks" in call.inputs:
            forward = in_blocks(self.family, forward, call.inputs["input_ids"][rows])
        with nullcontext() if self.options.score_train_mode else evaluation_mode(call.module):
            return score_rows(
                forward, corrupted_ids, labels, rows, runner_up=METHODS[self.options.method].ranks_by_margin,
                **attention, **self.label_arguments,
            )  # fmt: skip

    def observe(self, inputs: CollatedBatch, prepared: TrainingBatch, outputs: Any) -> None:
        """Keep what the loss of a training micro-batch says about its tokens, for `learn`; nothing is read back."""
        if self.source is None:
            return
        num_rows = inputs["input_ids"].shape[0]  # without the second views of complementary masks
        is_trained = prepared.batch.labels[:num_rows] != -100
        log_prob = outputs.token_stats.log_prob[:num_rows].detach()
        self._observed.append((host_example_id(inputs), is_trained, log_prob))

    def learn(self) -> None:
        """Let the source learn from what was observed, between two steps.

        Learned within a step, it would change the scores of the micro-batches that happen to come later.
        """
        observed, self._observed = self._observed, []
        for one in observed:
            assert self.source is not None
            self.source.update(*one)


@dataclass(frozen=True)
class ScoringCall:
    """A `Scorer` at work on one micro-batch."""

    scorer: Scorer
    module: nn.Module
    """Whose dropout is turned off, unless options.score_train_mode."""

    forward: Callable[..., Any]
    """The patched model's, or what wraps it."""

    inputs: CollatedBatch
    draws: Draws
    """On the host, where the number of rows to score must be known."""

    is_evaluation: bool = False
    """The rows are no training rows."""

    def log_prob(self, corrupted_ids: Tensor, labels: Tensor, order: Tensor) -> Tensor:
        """Return the log-probability (B, L) of the labels; of the model, only in rows whose mode is not MIDDLE.

        Of a method that ranks by the margin it is that of the model's predictions, p_(1) - p_(2).

        With several processes every row is scored: wrappers may communicate in every forward, so all processes must run
        the same number of them.
        """
        scorer, options = self.scorer, self.scorer.options
        # A cache knows the training rows alone, and those of an evaluation have the same numbers.
        if scorer.source is not None and not (self.is_evaluation and options.score_source == "cache"):
            log_prob = scorer.source.score_batch(host_example_id(self.inputs), self.inputs["input_ids"])
        else:
            assert self.draws.order is not None
            is_ranked = (self.draws.order != MIDDLE).view(len(labels), -1).any(1)  # some block of the row
            rows = (is_ranked if scorer.num_processes == 1 else torch.ones_like(is_ranked)).nonzero()[:, 0]
            stats: Any = scorer.statistics(self, corrupted_ids, labels, rows.to(labels.device))
            by_margin = METHODS[options.method].ranks_by_margin
            log_prob = stats.max_log_prob.exp() - stats.runner_up_log_prob.exp() if by_margin else stats.log_prob
        if options.score_dtype == "logits":
            log_prob = log_prob.to(scorer.logits_dtype).float()
        return log_prob

    def entropy(self, corrupted_ids: Tensor, labels: Tensor) -> Tensor:
        """Return the entropy (B, L) in nats of the model's predictions where there is a label."""
        every_row = torch.arange(labels.shape[0], device=labels.device)
        return self.scorer.statistics(self, corrupted_ids, labels, every_row).entropy

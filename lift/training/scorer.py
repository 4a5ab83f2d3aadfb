"""How easy each masked token is for the model now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lift.data.collated_batch import CollatedBatch, host_example_id
from lift.learnability import ScoreSource, score_rows
from lift.models.attention import attention_arguments
from lift.models.evaluation_mode import evaluation_mode
from lift.objectives import MIDDLE, Draws, LiftOptions
from lift_kernels import TokenStats
from lift_kernels.models import ModelFamily


@dataclass
class Scorer:
    """Asks the model in a forward without gradient, or a score source in its place."""

    options: LiftOptions
    family: ModelFamily
    config: Any
    """The model's transformers configuration."""

    label_arguments: dict[str, Any]
    """How the patched forward is to take labels: see `lift.training.step.label_arguments`."""

    logits_dtype: torch.dtype = torch.float32
    """The dtype that the model's logits would have, for score_dtype=logits."""

    num_processes: int = 1
    source: ScoreSource | None = None
    """What scores training rows in place of the model, or None."""

    def log_prob(
        self, module: nn.Module, forward: Callable[..., Any], inputs: CollatedBatch, draws: Draws, is_evaluation: bool,
        corrupted_ids: Tensor, labels: Tensor, order: Tensor,
    ) -> Tensor:  # fmt: skip
        """Return the log-probability (B, L) of the labels; of the model, only in rows whose mode is not MIDDLE.

        `draws` are on the host, where the number of rows to score must be known. With several processes every row is
        scored: wrappers may communicate in every forward, so all processes must run the same number of them.
        """
        # A cache knows the training rows alone, and those of an evaluation have the same numbers.
        if self.source is not None and not (is_evaluation and self.options.score_source == "cache"):
            log_prob = self.source.score_batch(host_example_id(inputs), inputs["input_ids"])
        else:
            assert draws.order is not None
            is_wanted = draws.order != MIDDLE if self.num_processes == 1 else torch.ones_like(draws.order)
            rows = is_wanted.nonzero()[:, 0].to(labels.device)
            log_prob = self.statistics(module, forward, inputs, corrupted_ids, labels, rows).log_prob
        if self.options.score_dtype == "logits":
            log_prob = log_prob.to(self.logits_dtype).float()
        return log_prob

    def entropy(
        self, module: nn.Module, forward: Callable[..., Any], inputs: CollatedBatch, corrupted_ids: Tensor,
        labels: Tensor,
    ) -> Tensor:  # fmt: skip
        """Return the entropy (B, L) in nats of the model's predictions where there is a label."""
        every_row = torch.arange(labels.shape[0], device=labels.device)
        return self.statistics(module, forward, inputs, corrupted_ids, labels, every_row).entropy

    def statistics(
        self, module: nn.Module, forward: Callable[..., Any], inputs: CollatedBatch, corrupted_ids: Tensor,
        labels: Tensor, rows: Tensor,
    ) -> TokenStats:  # fmt: skip
        """Return statistics (B, L) of the labels in `rows` (R,) without gradient, dropout off; 0 in the other rows.

        Args:
            module: whose dropout is turned off, unless options.score_train_mode.
            forward: the patched model's, or what wraps it.
        """
        attention = attention_arguments(self.family, self.config, inputs, rows=rows)
        with nullcontext() if self.options.score_train_mode else evaluation_mode(module):
            return score_rows(forward, corrupted_ids, labels, rows, **attention, **self.label_arguments)

"""Compute the loss of a patched model: from hidden states and labels to the ops, and back to the tokens' places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from lift_kernels import checks
from lift_kernels.linear_head import RowStats
from lift_kernels.models import next_token
from lift_kernels.models.confidence import mean_entropy_where_right
from lift_kernels.models.families import ModelFamily
from lift_kernels.models.head import call_head, vocab_size_of
from lift_kernels.models.parts import logit_numbers
from lift_kernels.models.row_parts import labels_of_parts, states_of_parts, stats_to_rows, to_rows
from lift_kernels.models.uncast import Uncast
from lift_kernels.ops.active_rows import ActiveRows, counted_rows
from lift_kernels.ops.lift_cross_entropy import lift_cross_entropy
from lift_kernels.ops.linear_cross_entropy import linear_cross_entropy
from lift_kernels.ops.linear_token_stats import TokenStats, TokenStatsWithRunnerUp, linear_token_stats
from lift_kernels.ops.one_forward import OneForward


class Result(NamedTuple):
    """What a patched model knows of its tokens."""

    loss: Tensor
    token_stats: TokenStats | None = None  # each (B, L), or a `TokenStatsWithRunnerUp`
    learnability: Tensor | None = None  # (B, L)


@dataclass(frozen=True)
class FusedLoss:
    """What one call of a patched model asks for; see `apply_lift_kernels`."""

    model_name: str
    labels: Tensor  # (B, L)
    token_weight: Tensor | None
    denominator: float | Tensor | None
    denominator_name: str
    num_targets: int | None
    return_stats: bool
    one_forward: OneForward | None
    predicts_next: bool
    first_position: str
    confidence: float = 0.0
    runner_up: bool = False

    def compute(self, family: ModelFamily, model: Any, hidden_states: Tensor, options: dict[str, Any]) -> Result:
        """Return the loss from hidden_states (B, L, D); `options` go to the op.

        Raises:
            ValueError, TypeError: labels do not fit hidden_states, or other arguments do not fit them.
        """
        self._check_tensors(hidden_states)
        options = options | logit_numbers(family, model)
        transform = (lambda rows: rows) if family.transform is None else family.transform(model)
        head = family.head(model)
        labels, token_weight = self.labels, self.token_weight
        if self.predicts_next:
            labels = next_token.to_predictor(labels, -100)
            token_weight = None if token_weight is None else next_token.to_predictor(token_weight, 0)
        self._check_labels(labels, vocab_size_of(head), options)
        if self.one_forward is not None and self.one_forward.parts is not None:
            return self._lift_of_parts(self.one_forward, head, transform(hidden_states), options)
        if self.one_forward is not None:
            result = self._lift_cross_entropy(self.one_forward, head, transform(hidden_states), labels, options)
            if self.predicts_next:
                assert result.token_stats is not None and result.learnability is not None
                stats = next_token.stats_to_token(result.token_stats)
                result = Result(result.loss, stats, next_token.to_token(result.learnability, 0))
            return result
        result = self._cross_entropy(head, transform, hidden_states, labels, token_weight, options)
        return self._at_tokens(result, head, options) if self.predicts_next else result

    def check_options(self) -> None:
        """Check what needs no forward.

        Raises:
            ValueError, TypeError: an argument does not fit, or excludes another; the message names it.
        """
        name = self.model_name
        checks.check_dtype(name, "labels", self.labels, torch.int64)
        if self.num_targets is not None:
            checks.check_num_targets(name, self.num_targets)
        checks.check_bool(name, "return_token_stats", self.return_stats)
        checks.check_bool(name, "runner_up", self.runner_up)
        if self.runner_up and (torch.is_grad_enabled() or self.one_forward is not None or not self.return_stats):
            raise ValueError(f"{name}: runner_up needs return_token_stats, torch.no_grad() and no lift.")
        checks.check_bool(name, "predicts_next", self.predicts_next)
        checks.check_choice(name, "first_position", self.first_position, next_token.FIRST_POSITION)
        checks.check_token_weight(name, self.token_weight, self.labels, -100, "labels")
        checks.check_denominator(name, self.denominator, "mean", self.labels.device, self.denominator_name)
        if self.one_forward is None:
            return
        if self.confidence:
            raise ValueError(f"{self.model_name}: confidence must be 0 with lift, got {self.confidence}.")
        if self.token_weight is not None:
            raise ValueError(f"{self.model_name}: token_weight must be None with lift, which forms the weights.")
        if self.predicts_next and self.first_position != "ignore":
            raise ValueError(f"{self.model_name}: first_position must be 'ignore' with lift, which ranks all tokens.")

    def _check_tensors(self, hidden_states: Tensor) -> None:
        checks.check_targets(self.model_name, self.labels, hidden_states, "labels")
        checks.check_same_device(self.model_name, hidden_states=hidden_states, labels=self.labels)

    def _check_labels(self, labels: Tensor, vocab_size: int, options: dict[str, Any]) -> None:
        """Check the values of labels that were moved to where they are predicted."""
        if not checks.is_on_host(labels):
            return
        targets = labels[labels != -100]
        with checks.errors_of(self.model_name):
            checks.check_count(self.num_targets, targets.numel())
            checks.check_vocabulary(targets, vocab_size, "labels", options["exclude_index"])

    def _lift_of_parts(
        self, one_forward: OneForward, head: Any, hidden_states: Tensor, options: dict[str, Any]
    ) -> Result:
        index, shape = one_forward.parts, self.labels.shape
        assert index is not None
        labels = labels_of_parts(self.labels, index, predicts_next=self.predicts_next)
        states = states_of_parts(hidden_states, index, predicts_next=self.predicts_next)
        result = self._lift_cross_entropy(one_forward, head, states, labels, options)
        assert result.token_stats is not None and result.learnability is not None
        stats = stats_to_rows(result.token_stats, index, shape)
        return Result(result.loss, stats, to_rows(result.learnability, index, shape, 0))

    def _lift_cross_entropy(
        self, one_forward: OneForward, head: Any, hidden_states: Tensor, labels: Tensor, options: dict[str, Any]
    ) -> Result:
        arguments = one_forward._asdict()
        del arguments["parts"]

        def compute_loss(rows: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Any, Uncast]:
            states = rearrange(rows, "(b l) d -> b l d", b=labels.shape[0])
            loss, stats, learnability = lift_cross_entropy(
                states, weight, labels, bias=bias, denominator=self.denominator, num_targets=self.num_targets,
                return_stats=True, return_learnability=True, **arguments, **options,
            )  # fmt: skip
            return loss, Uncast((stats, learnability))

        loss, tokens = call_head(head, rearrange(hidden_states, "b l d -> (b l) d"), compute_loss)
        return Result(loss, *tokens.value)

    def _cross_entropy(
        self, head: Any, transform: Any, hidden_states: Tensor, labels: Tensor, token_weight: Tensor | None,
        options: dict[str, Any],
    ) -> Result:  # fmt: skip
        rows, active = _labelled_rows(rearrange(hidden_states, "b l d -> (b l) d"), labels, self.num_targets)
        targets = labels.flatten()
        weights = None if token_weight is None else token_weight.flatten()
        num_targets = self.num_targets
        if active is not None:
            targets, num_targets = active.targets(targets), active.index.shape[0]
            weights = None if weights is None else active.values(weights)

        def compute_statistics(rows: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Any, Uncast]:
            stats = linear_token_stats(
                rows, weight, targets, bias=bias, num_targets=num_targets, runner_up=True, **options
            )
            nll = -stats.log_prob if weights is None else -stats.log_prob * weights
            denominator = (targets != -100).sum().clamp(min=1) if self.denominator is None else self.denominator
            return nll.sum() / denominator, Uncast(stats)

        def compute_loss(rows: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Any, Uncast]:
            result = linear_cross_entropy(
                rows, weight, targets, bias=bias, token_weight=weights, denominator=self.denominator,
                num_targets=num_targets, return_stats=self.return_stats, **options,
            )  # fmt: skip
            loss, stats = (result, None) if isinstance(result, Tensor) else result
            if self.confidence:
                entropy = mean_entropy_where_right(rows, weight, bias, targets, options | {"num_targets": num_targets})
                loss = loss + self.confidence * entropy
            return loss, Uncast(stats)

        loss, stats = call_head(head, transform(rows), compute_statistics if self.runner_up else compute_loss)
        if active is not None:
            loss = active.mark_loss(loss, hidden_states)
        return Result(loss, None if stats.value is None else _spread(stats.value, active, labels))

    def _at_tokens(self, result: Result, head: Any, options: dict[str, Any]) -> Result:
        """Move statistics to the tokens they are about, and add what the first position counts for."""
        stats = None if result.token_stats is None else next_token.stats_to_token(result.token_stats)
        if self.first_position == "ignore":
            return Result(result.loss, stats)
        vocab_size, exclude_index = vocab_size_of(head), options["exclude_index"]
        if self.denominator is None:
            raise ValueError(f"{self.model_name}: first_position='zeros' needs a denominator, got none.")
        num_entries = vocab_size - (exclude_index is not None)
        first = next_token.uniform_first_loss(self.labels, self.token_weight, self.denominator, num_entries)
        if stats is not None:
            stats = next_token.with_uniform_first(stats, self.labels, vocab_size, exclude_index)
        return Result(result.loss + first, stats)


def _labelled_rows(hidden_states: Tensor, labels: Tensor, num_targets: int | None) -> tuple[Tensor, ActiveRows | None]:
    """The rows (N, D) that have a label and which those are, or all rows and None where how many is not to be known.

    That is while torch.compile traces, and of tensors without values, such as meta tensors.

    Dropping rows here already spares the transform; the loss drops them in any case.
    """
    if not checks.has_values(labels):
        return hidden_states, None
    is_labelled = labels.flatten() != -100
    is_wrong = None
    if num_targets is not None and not checks.is_on_host(labels):
        index, is_wrong = counted_rows(is_labelled, num_targets)
    else:
        index = is_labelled.nonzero()[:, 0]
    active = ActiveRows(index, is_labelled.shape[0], is_wrong)
    # The backward pass of indexing sorts the indices in case one comes twice, that of index_select does not.
    return (hidden_states if active.are_all else hidden_states.index_select(0, index)), active


def _spread(stats: Any, active: ActiveRows | None, labels: Tensor) -> Any:
    """Put the rows' statistics back in their places (B, L): 0, and argmax -1, where there is no label."""
    flat = RowStats(*stats) if active is None else active.spread_stats(RowStats(*stats))
    spread = TokenStats.from_flat(flat[:5], labels.shape)
    if flat.runner_up_log_prob is None:
        return spread
    return TokenStatsWithRunnerUp(*spread, flat.runner_up_log_prob.reshape(labels.shape))

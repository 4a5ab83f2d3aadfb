"""Gather statistics of softmax rows block by block over the vocabulary, each logit seen once.

With m the running maximum, kept per row: S = sum exp(z - m), q = sum (z - m) exp(z - m) and the most likely token, all
of the entries other than the target, whose logit z_y is kept apart. With d = m + log S - z_y then

    log p_y = -softplus(d) = -log1p(S exp(m - z_y))        1 - p_y = sigmoid(d)

which keep full relative precision however near to certain the target is: a sum over all entries rounds to the
target's own where 1 - p_y < 6e-8, and its logarithm to 0. The entropy is that of the choice between the target and the
others, and that among the others, terms that are none of them negative; centring q on m avoids the cancellation of
lse - E[z] for large logits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lift_kernels.fallback.logits import take_targets
from lift_kernels.linear_head import RowStats

_GROUP = 32  # vocabulary entries whose maxima stand for them in the search for the most likely one


class OnlineSoftmax:
    """Running statistics of N rows; without `targets` every entry is one of the others."""

    def __init__(
        self,
        like: Tensor,
        targets: Tensor | None,
        *,
        all_stats: bool,
        runner_up: bool = False,
        threshold: Tensor | None = None,
    ) -> None:
        """Begin.

        Args:
            like: (N, ...) a tensor on the rows' device, in the statistics dtype.
            targets: (N,) int64, or None.
            all_stats, runner_up: what else to gather.
            threshold: (N,) the targets' logits, known before: entries above them are counted, for the rank.
        """
        self.targets, self.all_stats, self.runner_up, self.threshold = targets, all_stats, runner_up, threshold
        self.sum = like.new_zeros(like.shape[0])
        # The least finite number, not -inf: -inf - -inf is nan where a whole block of logits is -inf.
        self.lowest = torch.finfo(like.dtype).min
        self.max = torch.full_like(self.sum, self.lowest)
        self.second = self.max.clone()  # where runner_up
        self.weighted_sum = self.sum.clone()  # q above, where all_stats
        self.argmax = torch.zeros_like(self.sum, dtype=torch.int64)  # where all_stats or runner_up
        self.target_logit = self.sum.clone()
        self.rank = None if threshold is None else torch.ones_like(self.argmax)

    def update(self, z: Tensor, columns: slice) -> Tensor:
        """Take in the logits z (K, N) of the vocabulary entries `columns`.

        Leaves exp(z - new max) in z, 0 at the targets, and returns exp(old max - new max) (N,): the factor that brings
        sums kept by the caller to the new maximum.
        """
        if self.targets is not None:
            self.target_logit = take_targets(z, self.targets, columns, self.target_logit)
        if self.rank is not None and self.threshold is not None:
            self.rank += (z > self.threshold).sum(0)
        if self.all_stats or self.runner_up:
            block_max, index = largest_entries(z)
            self.argmax = torch.where(block_max > self.max, index + columns.start, self.argmax)
            if self.runner_up:
                runner_up = torch.maximum(_amax_without(z, index, block_max), torch.minimum(block_max, self.max))
                self.second = torch.maximum(self.second, runner_up)
        else:
            block_max = z.amax(0)
        new_max = torch.maximum(self.max, block_max)
        correction = torch.exp(self.max - new_max)
        z -= new_max
        if self.all_stats:
            self.weighted_sum += (self.max - new_max) * self.sum
            centred = z.clamp(min=self.lowest)  # 0 * -inf is nan
            z.exp_()
            self.weighted_sum = self.weighted_sum * correction + centred.mul_(z).sum(0)
        else:
            z.exp_()
        self.sum = self.sum * correction + z.sum(0)
        self.max = new_max
        return correction

    def log_odds_against(self) -> Tensor:
        """d above: log((1 - p) / p) of each row's target (N,)."""
        return (self.max - self.target_logit) + self.sum.log()

    def finish(self) -> RowStats:
        """Return the rows' statistics; what was not asked for holds anything."""
        log_sum = self.sum.log()
        others_entropy = (log_sum - self.weighted_sum / self.sum).clamp(min=0)
        if self.targets is None:
            lse = self.max + log_sum
            return RowStats(
                torch.zeros_like(lse), lse, others_entropy, -log_sum, self.argmax, self._runner_up(self.second, lse)
            )
        log_odds = self.log_odds_against()
        log_prob = log1p_exp(log_odds).neg_()
        lse = torch.logaddexp(self.max + log_sum, self.target_logit)
        is_first = self.target_logit > self.max
        is_first |= (self.target_logit == self.max) & (self.targets < self.argmax)
        max_log_prob = torch.where(self.target_logit >= self.max, log_prob, -(log_sum + log1p_exp(-log_odds)))
        # Where there are no others, or no target, nothing is left to choose: 0 * inf must not make that nan.
        finite = log_odds.clamp(self.lowest, -self.lowest)
        share = torch.sigmoid(finite)
        entropy = torch.sigmoid(-finite) * log1p_exp(finite) + share * log1p_exp(-finite)
        entropy += torch.where(self.sum > 0, share * others_entropy, 0)
        argmax = torch.where(is_first, self.targets, self.argmax)
        second = torch.where(is_first, self.max, torch.maximum(self.second, self.target_logit))
        return RowStats(log_prob, lse, entropy, max_log_prob, argmax, self._runner_up(second, lse), self.rank)

    def _runner_up(self, second: Tensor, lse: Tensor) -> Tensor | None:
        if not self.runner_up:
            return None
        return (second - lse).masked_fill(second <= self.lowest, -torch.inf)  # there was no second one


def log1p_exp(x: Tensor) -> Tensor:
    """log(1 + exp(x)), to full relative precision for x of any size and sign."""
    return F.softplus(x, threshold=40)  # past which exp(-x) is no longer seen beside x, in float64 either


def largest_entries(z: Tensor) -> tuple[Tensor, Tensor]:
    """`z.max(0)`, the lowest index of equals, for (K, N): an index costs torch far more than a maximum."""
    size, num_rows = z.shape
    if size % _GROUP or num_rows == 0:
        largest, index = z.max(0)
        return largest, index
    groups = z.view(size // _GROUP, _GROUP, num_rows)
    largest, group = groups.amax(1).max(0)
    members = groups.gather(0, group[None, None].expand(1, _GROUP, num_rows))[0]
    return largest, group * _GROUP + members.max(0).indices


def _amax_without(z: Tensor, index: Tensor, value: Tensor) -> Tensor:
    """The maximum (N,) of z (K, N) without the entry at `index` (N,), which holds `value` (N,)."""
    z.scatter_(0, index[None], -torch.inf)
    second = z.amax(0)
    z.scatter_(0, index[None], value[None])
    return second

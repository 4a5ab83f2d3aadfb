"""Choose the positions that a step commits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lift.sampling.config import SamplingConfig
from lift.sampling.noise import Noise


def choose(score: Tensor, is_candidate: Tensor, quota: Tensor, config: SamplingConfig, noise: Noise) -> Tensor:
    """Return the chosen positions (B, T) bool, best score first, ties to the lower position.

    Args:
        score: (B, T) float, as `Proposal` has it.
        is_candidate: (B, T) bool.
        quota: (B,) int64, how many the schedule asks for; fewer candidates are all chosen.
        config: which rule.
        noise: of the draws that `position_temperature` makes.
    """
    key = score.clamp(min=torch.finfo(score.dtype).min)  # a probability of 0 still is a candidate
    if config.position_temperature > 0:
        weight = score.exp() if config.remasking == "low_confidence" else score
        key = noise.weighted_order((weight / config.position_temperature).masked_fill(~is_candidate, -torch.inf))
    order = key.masked_fill(~is_candidate, -torch.inf).argsort(dim=1, descending=True, stable=True)
    columns = torch.arange(score.shape[1], device=score.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, columns)
    by_quota = is_candidate & (rank < quota[:, None])
    if config.factor is not None:
        return is_candidate & (rank < _num_by_factor(score.gather(1, order), is_candidate.sum(1), config)[:, None])
    if config.threshold is None:
        return by_quota
    least = _in_units_of(config, config.threshold)
    if config.quota_first:
        is_sure = is_candidate & (score > least)
        return torch.where((is_sure.sum(1) >= quota)[:, None], is_sure, by_quota)
    is_sure = is_candidate & ((score >= least) | (rank == 0))
    return by_quota & is_sure if config.schedule == "carry" else is_sure


def exceeds(score: Tensor, probability: float, config: SamplingConfig) -> Tensor:
    """Return where scores are above a probability."""
    return score > _in_units_of(config, probability)


def _num_by_factor(sorted_score: Tensor, num_candidates: Tensor, config: SamplingConfig) -> Tensor:
    """Return how many (B,) are committed: c_(n) >= h_n, h_1 passes always and h_n = 1 - factor / (n + 1)."""
    assert config.factor is not None
    width = sorted_score.shape[1]
    least = [-math.inf] + [_in_units_of(config, 1 - config.factor / (n + 1)) for n in range(2, width + 1)]
    bound = torch.tensor(least[:width], dtype=sorted_score.dtype, device=sorted_score.device)
    is_there = torch.arange(width, device=bound.device) < num_candidates[:, None]
    passes = (sorted_score >= bound) & is_there
    if config.factor_rule == "count":
        return passes.sum(1)
    number = passes.long().cumprod(1).sum(1)
    if config.factor_rule == "prefix_or_last":
        number = torch.where(number == num_candidates - 1, num_candidates, number)
    return number


def _in_units_of(config: SamplingConfig, probability: float) -> float:
    """A probability as scores are counted: as a logarithm where they are log-probabilities."""
    if config.remasking != "low_confidence":
        return probability
    return math.log(probability) if probability > 0 else -math.inf

"""Propose and score tokens without logits, where the head is a plain matrix: one op, one pass over the vocabulary."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lift.sampling.config import SamplingConfig
from lift.sampling.heads import Head, PlainHead
from lift.sampling.noise import CounterNoise, Noise
from lift_kernels import linear_sample, linear_token_stats


class Proposal(NamedTuple):
    """Tokens int64, scores and log-probabilities float, (N,) each; the score of low_confidence is the log-probability,
    which keeps apart what probabilities near 1 do not."""

    token: Tensor
    score: Tensor
    log_prob: Tensor


def propose_in_one_pass(
    rows: Tensor, head: Head, row: Tensor, column: Tensor, is_zero: Tensor, config: SamplingConfig, noise: Noise,
    excluded_ids: Tensor,
) -> Proposal | None:  # fmt: skip
    """Return a proposal for each of N positions, its score that of the token or meaningless where none is read.

    None where the settings, the head or the noise need logits. Arguments are those of `propose`.
    """
    if head.plain is None or not _needs_no_logits(config) or rows.dtype != head.plain.weight.dtype:
        return None
    if config.temperature > 0 and not isinstance(noise, CounterNoise):
        return None
    if config.shift == "zeros":
        if head.plain.bias is not None:
            return None
        rows = rows.masked_fill(is_zero[:, None], 0)
    arguments = _head_arguments(head.plain, excluded_ids)
    if arguments is None:
        return None
    if config.remasking == "margin":
        stats = linear_token_stats(rows, head.plain.weight, runner_up=True, **arguments)
        lead = -torch.expm1(stats.runner_up_log_prob - stats.max_log_prob) * stats.max_log_prob.exp()
        return Proposal(stats.argmax, lead, stats.max_log_prob)
    seed, row_ids, positions = 0, None, None
    if config.temperature > 0:
        assert isinstance(noise, CounterNoise)
        seed, row_ids, positions = noise.token_names(row, column)
    drawn = linear_sample(
        rows, head.plain.weight, temperature=config.temperature, seed=seed, row_ids=row_ids, positions=positions,
        top_k=config.top_k, top_p=config.top_p, **arguments,
    )  # fmt: skip
    score = -drawn.entropy if config.remasking == "entropy" else drawn.log_prob
    return Proposal(drawn.token, score, drawn.log_prob)


def _needs_no_logits(config: SamplingConfig) -> bool:
    if config.repetition_penalty != 1 or config.suppressed_in_score:
        return False
    has_top_p = config.top_p is not None and config.top_p < 1
    is_filtered = config.top_k is not None or has_top_p
    if config.score_temperature and (is_filtered or config.temperature not in (0, 1)):
        return False
    if config.temperature == 0:
        return True
    if config.top_k is not None and has_top_p and config.filter_order == "top_p_first":
        return False
    return config.remasking != "margin"  # of the model's two most likely tokens, whichever was drawn


def _head_arguments(head: PlainHead, excluded_ids: Tensor) -> dict[str, Any] | None:
    """Return what the ops take beside rows and weight; None where they cannot leave out as many ids."""
    arguments: dict[str, Any] = {
        "bias": head.bias, "logit_scale": head.logit_scale, "logit_softcap": head.logit_softcap,
    }  # fmt: skip
    if len(excluded_ids) == 1:
        return arguments | {"exclude_index": int(excluded_ids)}
    if len(excluded_ids) > 1:
        if head.logit_softcap is not None:  # which would make the bias finite
            return None
        bias = head.weight.new_zeros(len(head.weight)) if head.bias is None else head.bias.detach()
        arguments["bias"] = bias.index_fill(0, excluded_ids, -torch.inf)
    return arguments

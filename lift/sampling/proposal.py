"""Propose a token for each position, and score it: what could be committed, and how soon."""

from __future__ import annotations

import torch
from torch import Tensor

from lift.sampling.config import SamplingConfig
from lift.sampling.heads import Head
from lift.sampling.noise import SCORES, Noise
from lift.sampling.one_pass import Proposal, propose_in_one_pass

_CHUNK_BYTES = 1 << 26  # of float32 logits; a few tensors of this size live at once


def propose(
    rows: Tensor, head: Head, row: Tensor, column: Tensor, is_zero: Tensor, config: SamplingConfig, noise: Noise,
    excluded_ids: Tensor, row_ids: Tensor,
) -> Proposal:  # fmt: skip
    """Return a proposal for each of N positions.

    Where `head` is a plain matrix and the settings ask for nothing that needs logits, one op makes token and score in
    one pass (`propose_in_one_pass`); else logits are made of a few positions at a time.

    Args:
        rows: (N, D), what the head takes.
        head: makes logits of them.
        row, column: (N,) int64, where they stand.
        is_zero: (N,) bool, positions whose logits are all 0.
        config: the settings.
        noise: of the draws.
        excluded_ids: (F,) int64, ids without probability.
        row_ids: (B, T) int64, the tokens that the rows hold, excluded ones where they hold none.
    """
    found = propose_in_one_pass(rows, head, row, column, is_zero, config, noise, excluded_ids)
    if found is None:
        found = _propose_in_chunks(rows, head, row, column, is_zero, config, noise, excluded_ids, row_ids)
    if config.remasking == "random":
        return found._replace(score=noise.uniforms(SCORES, row, column))
    if config.remasking == "left_to_right":
        return found._replace(score=-column.to(torch.float32))
    return found


def _propose_in_chunks(
    rows: Tensor, head: Head, row: Tensor, column: Tensor, is_zero: Tensor, config: SamplingConfig, noise: Noise,
    excluded_ids: Tensor, row_ids: Tensor,
) -> Proposal:  # fmt: skip
    step = max(1, _CHUNK_BYTES // (4 * head.vocab_size))
    parts = []
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        logits = head.logits(rows[part])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if config.repetition_penalty != 1:
            logits = penalized(logits, row_ids[row[part]], config.repetition_penalty)
        logits = logits.index_fill(-1, excluded_ids, -torch.inf)
        if config.shift == "zeros":
            logits = torch.where(is_zero[part, None], torch.where(logits == -torch.inf, logits, 0.0), logits)
        parts.append(_propose_from_logits(logits, config, noise, row[part], column[part]))
    if not parts:
        nothing = rows.new_zeros(0, dtype=torch.float32)
        return Proposal(row.clone(), nothing, nothing)
    return Proposal(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _propose_from_logits(logits: Tensor, config: SamplingConfig, noise: Noise, row: Tensor, column: Tensor) -> Proposal:
    drawn_from = logits / config.temperature if config.temperature > 0 else logits
    if config.temperature > 0 or config.filter_order == "top_p_first":
        drawn_from = filtered(drawn_from, config)
    token = noise.tokens(drawn_from, row, column) if config.temperature > 0 else drawn_from.argmax(dim=-1)
    scored = drawn_from if config.score_temperature else logits
    if config.suppressed_in_score:
        ids = torch.tensor(sorted(set(config.suppressed_in_score)), device=logits.device)
        scored = scored.index_fill(-1, ids, -torch.inf)
    return Proposal(token, *score_of(scored, token, config.remasking))


def score_of(logits: Tensor, token: Tensor, remasking: str) -> tuple[Tensor, Tensor]:
    """Return of tokens under logits (n, V) the score (n,), which is the log-probability, the lead of the most likely
    token, or the negative entropy, and the log-probability (n,).

    log p = (z - z_max) - log1p(sum of the other exp(z_j - z_max)), exact where p is within rounding of 1.
    """
    top, best = logits.max(dim=-1, keepdim=True)
    others = (logits - top).exp().scatter(-1, best, 0.0)
    log_norm = others.sum(dim=-1).log1p()
    log_prob = logits.gather(-1, token[:, None])[:, 0] - top[:, 0] - log_norm
    if remasking == "margin":
        return -torch.expm1(others.amax(dim=-1).log()) / log_norm.exp(), log_prob
    if remasking == "entropy":
        weighted = torch.where(others > 0, others * (logits - top), 0.0).sum(dim=-1)
        return weighted / log_norm.exp() - log_norm, log_prob
    return log_prob, log_prob


def penalized(logits: Tensor, held_ids: Tensor, penalty: float) -> Tensor:
    """Return logits (n, V) that are lower at `held_ids` (n, T), by the rule of CTRL, arXiv 1909.05858."""
    held = logits.gather(-1, held_ids)
    return logits.scatter(-1, held_ids, torch.where(held > 0, held / penalty, held * penalty))


def filtered(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Return logits (n, V) with -inf for what top_k and top_p leave out, in the order of the settings."""
    order = (_top_k, _top_p) if config.filter_order == "top_k_first" else (_top_p, _top_k)
    for keep in order:
        logits = keep(logits, config)
    return logits


def _top_k(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Keep everything that reaches the k-th value; ties may keep more."""
    if config.top_k is None:
        return logits
    least = logits.topk(min(config.top_k, logits.shape[-1]), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def _top_p(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Keep the shortest prefix, by probability, whose sum exceeds top_p."""
    if config.top_p is None or config.top_p >= 1:
        return logits
    sorted_logits, order = logits.sort(dim=-1, descending=True, stable=True)
    probability = sorted_logits.softmax(dim=-1)
    before = probability.cumsum(dim=-1).roll(1, -1)
    before[:, 0] = 0
    is_removed = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before > config.top_p)
    return logits.masked_fill(is_removed, -torch.inf)

"""Draw tokens in tiles of logits, each seen once, on any device torch runs on.

The largest of z / temperature + Gumbel noise is a draw from softmax(z / temperature) (Gumbel-max: Maddison, Tarlow and
Minka, arXiv 1411.0030). With m the running maximum, S = sum exp(z - m) and W = sum (z - m) exp(z - m) of all entries
but the one that holds m, statistics at temperature 1 are

    log p_y = (z_y - m) - log1p(S)        entropy = log1p(S) - W / (1 + S)

which keep full relative precision however near to certain the token is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels.fallback.logits import LogitTiles
from lift_kernels.fallback.matmul import HeadRows
from lift_kernels.fallback.online_softmax import largest_entries
from lift_kernels.fallback.tiles import plan_tiles
from lift_kernels.linear_head import Draws, LinearHead, SampledRows
from lift_kernels.philox import entry_words, gumbel_noise

# The logit, its key and exponential, and the words and logarithms that noise is made of; of float64, half of them.
_VALUES_PER_LOGIT = 16


def sample_rows(
    hidden_states: Tensor, head: LinearHead, draws: Draws, *, workspace_bytes: int | None
) -> SampledRows:  # of (N, D)
    """Return a token for each row, its log-probability and the entropy."""
    tiling = plan_tiles(hidden_states, head.weight, workspace_bytes, _VALUES_PER_LOGIT)
    head_rows = HeadRows(head.weight, tiling.columns)
    blocks = []
    for rows in tiling.row_blocks():
        logits = LogitTiles(hidden_states[rows], head, tiling, head_rows)
        softmax = SoftmaxOfOthers(logits.buffer, logits.num_rows)
        race = None if draws.temperature == 0 else GumbelRace(logits.buffer, draws.part(rows))
        for columns in tiling.column_blocks():
            z, _ = logits(columns)
            if race is not None:
                race.update(z, columns)
            softmax.update(z, columns)
        token, logit = (softmax.argmax, softmax.max) if race is None else (race.token, race.logit)
        blocks.append(SampledRows(token, softmax.log_prob(logit), softmax.entropy()))
    return SampledRows.joined(blocks)


def noise_of(draws: Draws, columns: slice) -> Tensor:
    """Return the Gumbel noise (K, N) float32 of the vocabulary entries `columns`, the first a multiple of 4."""
    groups = torch.arange(columns.start // 4, -(-columns.stop // 4), device=draws.row_ids.device)
    words = entry_words(draws.seed, draws.row_ids, draws.positions, groups[:, None])  # (K / 4, N, 4)
    return gumbel_noise(words.transpose(1, 2).flatten(0, 1)[: columns.stop - columns.start])


class GumbelRace:
    """The entry ahead so far of each row, by z / temperature + noise; ties: the lowest."""

    def __init__(self, like: Tensor, draws: Draws) -> None:
        self.draws, size = draws, draws.row_ids.shape[0]
        self.key = like.new_full((size,), -torch.inf)
        self.logit = self.key.clone()
        self.token = torch.zeros_like(self.key, dtype=torch.int64)

    def update(self, z: Tensor, columns: slice) -> None:
        """Take in the logits z (K, N), which stay as they are."""
        key = (z * (1 / self.draws.temperature)).add_(noise_of(self.draws, columns))
        block_key, index = largest_entries(key)
        is_ahead = block_key > self.key
        self.token = torch.where(is_ahead, index + columns.start, self.token)
        self.logit = torch.where(is_ahead, z.gather(0, index[None])[0], self.logit)
        self.key = torch.where(is_ahead, block_key, self.key)


class SoftmaxOfOthers:
    """Running statistics of N rows in which the most likely entry stands apart."""

    def __init__(self, like: Tensor, num_rows: int) -> None:
        # The least finite number, not -inf: -inf - -inf is nan where a whole block of logits is -inf.
        self.lowest = torch.finfo(like.dtype).min
        self.max = like.new_full((num_rows,), self.lowest)
        self.sum = like.new_zeros(num_rows)  # S above
        self.weighted_sum = self.sum.clone()  # W above
        self.argmax = torch.zeros_like(self.sum, dtype=torch.int64)

    def update(self, z: Tensor, columns: slice) -> None:
        """Take in the logits z (K, N), whose memory is used."""
        block_max, index = largest_entries(z)
        is_new = block_max > self.max
        new_max = torch.where(is_new | block_max.isnan(), block_max, self.max)
        shift = (self.max - new_max).clamp_(min=self.lowest)
        shrink = shift.exp()
        z -= new_max
        # Of the new maximum nothing is added, and the old one becomes one of the others.
        z.scatter_(0, index[None], z.gather(0, index[None]).masked_fill_(is_new, -torch.inf))
        others = self.sum + is_new
        centred = z.clamp(min=self.lowest)  # 0 * -inf is nan
        z.exp_()
        self.weighted_sum = torch.where(others > 0, (self.weighted_sum + shift * others) * shrink, 0)
        self.weighted_sum += centred.mul_(z).sum(0)
        self.sum = others * shrink + z.sum(0)
        self.argmax = torch.where(is_new, index + columns.start, self.argmax)
        self.max = new_max

    def log_prob(self, logit: Tensor) -> Tensor:
        """Return the log-probability (N,) of entries with these logits."""
        return (logit - self.max) - self.sum.log1p()

    def entropy(self) -> Tensor:
        return self.sum.log1p() - self.weighted_sum / (1 + self.sum)

"""The contract of the linear head's backends: what they take, what they give, and what each of them promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Weights of the rows, or how to form them from the log-probabilities of their targets once all of those are known.
TokenWeight = Tensor | Callable[[Tensor], Tensor]


class LinearHead(NamedTuple):
    """logits = softcap * tanh(scale * (h W^T + b) / softcap), without the tanh when softcap is None."""

    weight: Tensor  # (V, D)
    bias: Tensor | None = None  # (V,)
    scale: float = 1.0
    softcap: float | None = None
    exclude_index: int | None = None  # an entry without probability: its logit is -inf, and its row gets no gradient

    @classmethod
    def of(
        cls, weight: Tensor, bias: Tensor | None, scale: float, softcap: float | None, exclude_index: int | None
    ) -> LinearHead:
        """Return a head as a call gives it, its bias contiguous, as kernels read it."""
        return cls(weight, None if bias is None else bias.contiguous(), scale, softcap, exclude_index)

    def logits_of(self, hidden_states: Tensor, entries: Tensor) -> Tensor:
        """Return the logit (N,) of one entry for each of the rows (N, D), in the statistics dtype.

        It differs from that of a whole product by its rounding.
        """
        dtype = statistics_dtype(hidden_states.dtype)
        z = (hidden_states.to(dtype) * self.weight[entries].to(dtype)).sum(-1)
        if self.bias is not None:
            z += self.bias[entries].to(dtype)
        z *= self.scale
        return z if self.softcap is None else torch.tanh(z / self.softcap) * self.softcap


class RowStats(NamedTuple):
    """Statistics of N rows, each (N,), in nats but for `argmax` (int64)."""

    log_prob: Tensor  # of the target; its relative error stays small however near to 0 it is, and so does expm1 of it
    lse: Tensor
    entropy: Tensor
    max_log_prob: Tensor
    argmax: Tensor
    runner_up_log_prob: Tensor | None = None  # of the second most likely token; None where not asked for
    rank: Tensor | None = None  # int64, of the target among the entries, from 1; None where not asked for

    @classmethod
    def joined(cls, parts: list[RowStats]) -> RowStats:
        """Return the statistics of the rows of all parts, at least one, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(None if values[0] is None else torch.cat(values) for values in zip(*parts, strict=True)))  # type: ignore[arg-type]


class StatsGrad(NamedTuple):
    """Gradients of a loss for statistics of N rows, each (N,) in the statistics dtype; None where it ignores one."""

    log_prob: Tensor | None = None
    lse: Tensor | None = None
    entropy: Tensor | None = None


class Draws(NamedTuple):
    """What names the draws of N rows in the layout of `philox`, and how they are scaled."""

    seed: int
    row_ids: Tensor  # (N,) int64
    positions: Tensor  # (N,) int64
    temperature: float  # 0: none is drawn, and the most likely token taken

    def part(self, rows: slice) -> Draws:
        """Return the draws of some rows."""
        return self._replace(row_ids=self.row_ids[rows], positions=self.positions[rows])


class SampledRows(NamedTuple):
    """A token for each of N rows, each (N,): int64, and in the statistics dtype, in nats and at temperature 1."""

    token: Tensor
    log_prob: Tensor  # of that token; its relative error stays small however near to 0 it is
    entropy: Tensor

    @classmethod
    def joined(cls, parts: list[SampledRows]) -> SampledRows:
        """Return the rows of all parts, at least one, in their order."""
        return parts[0] if len(parts) == 1 else cls(*map(torch.cat, zip(*parts, strict=True)))


class NeedsGrad(NamedTuple):
    """Which gradients are asked for, as `ctx.needs_input_grad` of an autograd function."""

    hidden_states: bool
    weight: bool
    bias: bool

    @property
    def head(self) -> bool:
        """Whether the head is trained."""
        return self.weight or self.bias


class Gradients(NamedTuple):
    """Gradients of sum_i token_weight_i * nll_i; None where not asked for."""

    hidden_states: Tensor | None = None  # (N, D)
    weight: Tensor | None = None  # (V, D)
    bias: Tensor | None = None  # (V,)
    # Tensors of the backend's own that `head_gradients` forms weight's and bias' from, which are None then.
    deferred: tuple[Tensor, ...] | None = None


class HeadBackend(Protocol):
    """What computes a linear head's statistics and gradients: a module, as `fallback` and `kernels` have one each.

    Every function takes only rows that take part: hidden_states (N, D) and the head in one dtype on one device, targets
    (N,) int64 in [0, V) and none of them `exclude_index`, N possibly 0. Statistics and token weights are in
    `statistics_dtype` of that dtype, gradients in `gradient_dtype`, all contiguous and new. Scratch memory stays within
    `workspace_bytes` (None: the device's default), whose least value is one block of logits; ValueError names it where
    less is given. Nothing is read back from the device, and the same call twice gives the same bits.
    """

    def take_rows(self, rows: Tensor, index: Tensor) -> Tensor:
        """Return rows[index]: (N, D), (M,) int64 -> (M, D)."""
        ...

    def spread_rows(
        self,
        rows: Tensor,
        index: Tensor,
        num_rows: int,
        *,
        scale: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return (num_rows, D) with scale * rows (M, D) at index (M,), ascending, and 0 elsewhere.

        `scale` is 0-d in the statistics dtype, None for 1. Multiplied in that dtype and rounded once to `dtype`, by
        default that of the rows.
        """
        ...

    def token_stats(
        self,
        hidden_states: Tensor,
        head: LinearHead,
        targets: Tensor | None,
        *,
        workspace_bytes: int | None,
        all_stats: bool,
        runner_up: bool = False,
        rank: bool = False,
    ) -> RowStats:
        """Return statistics of every row in one product.

        `rank` needs targets, and gives the runner-up too. Without `all_stats` entropy and argmax may hold anything;
        without targets so may log_prob.
        """
        ...

    def loss_gradients(
        self,
        hidden_states: Tensor,
        head: LinearHead,
        targets: Tensor,
        token_weight: TokenWeight,
        needs_grad: NeedsGrad,
        *,
        workspace_bytes: int | None,
        all_stats: bool,
        may_defer: bool = False,
    ) -> tuple[RowStats, Tensor, Gradients]:
        """Return statistics, token weights (N,) and gradients in the fewest products that the workspace allows.

        A `token_weight` that is a function is called once, with the log-probabilities (N,) of all rows. The gradients
        are those of sum_i token_weight_i * nll_i for constant weights; what is not asked for costs no work. With
        `may_defer` a trained head's may come as `Gradients.deferred` instead: no larger than they are, or than they and
        a float32 sum of them where rows come in several chunks.
        """
        ...

    def head_gradients(
        self, deferred: tuple[Tensor, ...], grad_loss: Tensor, needs_grad: NeedsGrad
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return grad_loss (0-d, in the statistics dtype) times the gradients of weight and bias.

        They are rounded once, but for rows of the weight that are targets: those may be rounded twice.
        `deferred` stays as it is, so that a second backward pass finds it.
        """
        ...

    def gradients_from_stats(
        self,
        hidden_states: Tensor,
        head: LinearHead,
        targets: Tensor,
        token_weight: Tensor,
        lse: Tensor,
        log_prob: Tensor,
        needs_grad: NeedsGrad,
        *,
        workspace_bytes: int | None,
    ) -> Gradients:
        """Return the gradients of sum_i token_weight_i * nll_i from the rows' lse and log_prob, each (N,).

        The logits are computed again. It may leave lse and log_prob unread.
        """
        ...

    def stats_gradients(
        self,
        hidden_states: Tensor,
        head: LinearHead,
        targets: Tensor | None,
        stats: RowStats,
        grad: StatsGrad,
        needs_grad: NeedsGrad,
        *,
        workspace_bytes: int | None,
    ) -> Gradients:
        """Return the gradients of sum_i of grad's entries times the statistics'; of `stats` the same three are read.

        The logits are computed again. With p = softmax(z) and H the entropy, d entropy / d z_v = -p_v (log p_v + H).
        """
        ...


def statistics_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of losses and statistics for inputs of `dtype`: float32, or float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def gradient_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which gradients for inputs of `dtype` are formed and kept until the backward pass.

    float16 is widened: 1/t weights of up to 1000 and probabilities below 6e-8 do not both fit its range.
    """
    return torch.float32 if dtype == torch.float16 else dtype

"""Random inputs on a device, and losses, gradients and statistics of `lift_kernels.reference` in chunks of rows.

In float64 they are the truth, in the working dtype the plain implementation that a gradient's error is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lift_kernels import reference
from lift_kernels.testing import Head

_MOST_LOGITS = 1 << 26  # of one chunk: 512 MiB in float64


class Losses(NamedTuple):
    nll: Tensor  # (N,), 0 where ignored
    gradients: dict[str, Tensor]  # of sum_i factor_i nll_i, by name of the leaf


class LogitSizes(NamedTuple):
    """How large the logits z are that a row's statistics are differences of, (N,) each; 0 but for tensor cores."""

    target: Tensor  # |z_target|, 0 where ignored
    largest: Tensor  # max |z|

    @property
    def nll(self) -> Tensor:
        """(N,), of the losses and the targets' log-probabilities."""
        return self.target + self.largest


def random_head(
    n: int, d: int, v: int, dtype: torch.dtype, device: torch.device, *, ignored: float = 0.25, seed: int = 0
) -> Head:
    """Like `Head.random`, but drawn on the device: logits of deviation ~1, weights log-uniform in 1e-3 .. 1e3."""
    generator = torch.Generator(device).manual_seed(seed)
    targets = torch.randint(v, (n,), generator=generator, device=device)
    return Head(
        hidden_states=torch.randn(n, d, generator=generator, device=device).to(dtype),
        weight=(torch.randn(v, d, generator=generator, device=device) / d**0.5).to(dtype),
        bias=torch.randn(v, generator=generator, device=device).to(dtype),
        targets=targets.where(torch.rand(n, generator=generator, device=device) >= ignored, -100),
        token_weight=10 ** (6 * torch.rand(n, generator=generator, device=device) - 3),
    )


def reference_losses(
    head: Head, names: tuple[str, ...], factor: Tensor, *, has_bias: bool = True, **options: Any
) -> Losses:
    """Return the losses of every row, and the gradients of sum_i factor_i nll_i for the leaves named.

    Gradients are in the dtype of the head. Chunks are added in float32 at least: in bfloat16 their number would show.
    """
    dtype = head.weight.dtype
    sum_dtype = torch.float64 if dtype == torch.float64 else torch.float32
    sums = {name: torch.zeros_like(getattr(head, name), dtype=sum_dtype) for name in names}
    nll = torch.zeros_like(factor, dtype=sum_dtype)
    for rows in _chunks(head):
        leaves = {"hidden_states": head.hidden_states[rows].detach(), "weight": head.weight.detach()}
        if has_bias:
            leaves["bias"] = head.bias.detach()
        wanted = [leaves[name].requires_grad_() for name in names]
        chunk_nll = reference.linear_cross_entropy(
            leaves["hidden_states"],
            leaves["weight"],
            head.targets[rows],
            bias=leaves.get("bias"),
            reduction="none",
            **options,
        )
        nll[rows] = chunk_nll.detach().to(sum_dtype)
        if wanted:
            gradients = torch.autograd.grad((chunk_nll * factor[rows]).sum(), wanted)
            for name, gradient in zip(names, gradients, strict=True):
                (sums[name][rows] if name == "hidden_states" else sums[name]).add_(gradient)
    return Losses(nll, {name: total.to(dtype) for name, total in sums.items()})


def reference_stats(head: Head, targets: Tensor | None, *, has_bias: bool = True, **options: Any) -> list[Tensor]:
    """Return log_prob, lse, entropy, max_log_prob and argmax, each (N,)."""
    bias = head.bias if has_bias else None
    chunks = [
        reference.linear_token_stats(
            head.hidden_states[rows], head.weight, None if targets is None else targets[rows], bias=bias, **options
        )
        for rows in _chunks(head)
    ]
    return [torch.cat(values) for values in zip(*chunks, strict=True)]


def reference_ranks(head: Head, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each row's token, and the probability of all that are likelier, (N,) each."""
    log_probs, likelier = [], []
    for rows in _chunks(head):
        of_row = reference.linear_logits(head.hidden_states[rows], head.weight).log_softmax(-1)
        log_probs.append(of_row.gather(-1, tokens[rows, None])[:, 0])
        likelier.append(of_row.exp().where(of_row > log_probs[-1][:, None], 0).sum(-1))
    return torch.cat(log_probs), torch.cat(likelier)


def logit_sizes(head: Head, *, has_bias: bool = True, **options: Any) -> LogitSizes:
    """Return the sizes by which `assert_nats_close` allows for tensor cores, from logits in the dtype of the head."""
    sizes = LogitSizes(*(torch.zeros_like(head.token_weight) for _ in range(2)))
    if _on_tensor_cores(head):
        bias = head.bias if has_bias else None
        for rows in _chunks(head):
            logits = reference.linear_logits(head.hidden_states[rows], head.weight, bias, **options).float().abs()
            targets = head.targets[rows]
            sizes.target[rows] = logits.gather(1, targets.clamp(min=0)[:, None])[:, 0].where(targets >= 0, 0)
            sizes.largest[rows] = logits.amax(1)
    return sizes


def _on_tensor_cores(head: Head) -> bool:
    return head.weight.is_cuda and head.weight.dtype.itemsize == 2


def _chunks(head: Head) -> Iterator[slice]:
    num_rows, step = head.hidden_states.shape[0], max(1, _MOST_LOGITS // head.weight.shape[0])
    return (slice(start, min(start + step, num_rows)) for start in range(0, max(num_rows, 1), step))

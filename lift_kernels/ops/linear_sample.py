"""Tokens drawn from a linear head's predictions without its logits: the public op."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.ops.head_inputs import head_inputs
from lift_kernels.ops.linear_sample_op import sample

_OP = "linear_sample"


class SampledTokens(NamedTuple):
    """One token for each hidden state: tensors of one shape (...), in nats and at temperature 1 but for `token`."""

    token: Tensor  # int64
    log_prob: Tensor  # of that token
    entropy: Tensor  # of all tokens


def linear_sample(
    hidden_states: Tensor,
    weight: Tensor,
    *,
    temperature: float,
    seed: int,
    row_ids: Tensor | None = None,
    positions: Tensor | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    bias: Tensor | None = None,
    exclude_index: int | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    backend: str = "auto",
    workspace_bytes: int | None = None,
) -> SampledTokens:
    """Draw one token for each hidden state from softmax(logits / temperature), in one pass and without the logits.

    It is the argmax of logits / temperature + Gumbel noise. The noise is a pure function of (seed, row id, position,
    vocabulary entry), the same bits on every device and backend (`lift_kernels.philox` has the layout), so that a row's
    tokens depend neither on its batch nor on where it is computed, but for what rounding does to logits that are as
    good as equal. No gradient flows.

    Args:
        hidden_states: (..., D) bfloat16, float16, float32 or float64; the last of the dimensions before D are
            positions, what stands before it rows; those of (N, D) are N rows.
        weight: (V, D) the head's weight, same dtype and device.
        temperature: 0 or more; 0 takes the most likely token (ties: the lowest index), and needs no draws.
        seed: int in [0, 2^63); use a new one for each step that draws at the same positions again.
        row_ids: (...) or, for (B, L, D), (B,): int64 or int32, what names a row in its draws. None for 0..B-1.
        positions: (...) or, for (B, L, D), (L,): int64 or int32 in [0, 2^32). None for 0..L-1, or 0 for (N, D).
        top_k: draw from the k most likely tokens; more where the k-th has equals.
        top_p: in (0, 1]: leave out the least likely tokens that at this temperature hold 1 - top_p together at most.
            After top_k, both exactly as transformers' processors do. A few rows of logits at a time are in memory then.
        bias: (V,) same dtype as weight.
        exclude_index, logit_scale, logit_softcap, backend, workspace_bytes: see `linear_cross_entropy`.

    Returns:
        `SampledTokens(token, log_prob, entropy)`, each of shape (...). log_prob is the model's own for the token, at
        temperature 1 and without filters, for ranking: near 0 it keeps its relative precision. The entropy is too. Both
        float32 (float64 for float64 inputs).

    Example, the masked positions of a batch at one step of a sampler:
        >>> row, column = is_masked.nonzero(as_tuple=True)
        >>> drawn = linear_sample(hidden_states[row, column], weight, temperature=0.7, seed=step, row_ids=row,
        ...                       positions=column, exclude_index=mask_token_id)

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it. Values of
            positions are checked on the CPU only: elsewhere their low 32 bits count.
        RuntimeError: `backend="triton"` cannot run here.

    Source: Gumbel-max, arXiv 1411.0030; Philox-4x32-10, SC 2011.
    """
    hidden_states, weight, bias = head_inputs(_OP, hidden_states, weight, bias)
    row_ids, positions = checks.local(_OP, row_ids=row_ids, positions=positions)
    checks.check_head_options(
        _OP, ignore_index=-100, logit_scale=logit_scale, logit_softcap=logit_softcap, workspace_bytes=workspace_bytes,
        backend=backend, exclude_index=exclude_index, vocab_size=weight.shape[0],
    )  # fmt: skip
    checks.check_temperature(_OP, temperature)
    checks.check_seed(_OP, seed)
    if top_k is not None:
        checks.check_int(_OP, "top_k", top_k, 1, 2**63)
    if top_p is not None:
        checks.check_share(_OP, "top_p", top_p)
    shape = hidden_states.shape[:-1]
    for name, tensor, short in (("row_ids", row_ids, shape[:1]), ("positions", positions, shape[-1:])):
        if tensor is not None:
            checks.check_integer(_OP, name, tensor)
            wanted = short if len(shape) == 2 and tensor.dim() == 1 else shape
            checks.check_shape(_OP, name, tensor, wanted, f"hidden_states {tuple(hidden_states.shape)}")
    checks.check_same_device(_OP, hidden_states=hidden_states, row_ids=row_ids, positions=positions)
    if positions is not None:
        checks.check_entries(
            _OP, "positions", positions, lambda: (positions < 0) | (positions > 0xFFFFFFFF), "lie in [0, 2**32)"
        )
    with torch.no_grad():
        found = sample(
            hidden_states.reshape(-1, hidden_states.shape[-1]), weight, bias,
            *_named(row_ids, positions, shape, hidden_states.device), seed, float(temperature), top_k,
            None if top_p is None or top_p == 1 else float(top_p), exclude_index, logit_scale, logit_softcap,
            workspace_bytes, backend,
        )  # fmt: skip
    return SampledTokens(*(values.reshape(shape) for values in found))


def _named(
    row_ids: Tensor | None, positions: Tensor | None, shape: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return row ids and positions of every hidden state, (N,) int64 each."""
    lengths = shape[-1:] if len(shape) > 1 else ()
    rows = shape[: len(shape) - len(lengths)]
    if row_ids is None:
        row_ids = torch.arange(prod(rows), device=device).reshape((*rows, *(1 for _ in lengths)))
    elif len(shape) == 2 and row_ids.dim() == 1:
        row_ids = row_ids[:, None]
    if positions is None:
        positions = torch.arange(prod(lengths), device=device).reshape(tuple(lengths))
        positions = positions if lengths else positions.new_zeros(())
    row_ids, positions = (values.to(torch.int64).expand(tuple(shape)).reshape(-1) for values in (row_ids, positions))
    return row_ids, positions

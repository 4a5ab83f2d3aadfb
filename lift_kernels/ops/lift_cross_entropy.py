"""LIFT's objective in one pass over the head."""

from __future__ import annotations

import torch
from torch import Tensor

from lift_kernels import checks
from lift_kernels.linear_head import statistics_dtype
from lift_kernels.ops.head_inputs import head_inputs
from lift_kernels.ops.lift_cross_entropy_op import lift_loss
from lift_kernels.ops.linear_token_stats import TokenStats

_OP = "lift_cross_entropy"
_LEARNABILITIES = ("hard", "soft")
_REDUCTIONS = ("mean", "sum")


def lift_cross_entropy(
    hidden_states: Tensor,
    weight: Tensor,
    labels: Tensor,
    timestep: Tensor,
    num_keep: Tensor,
    order: Tensor,
    *,
    learnability: str = "hard",
    temperature: float = 1.0,
    time_scaling: bool = True,
    row_weight: Tensor | None = None,
    bias: Tensor | None = None,
    ignore_index: int = -100,
    exclude_index: int | None = None,
    seed: int | None = None,
    row_ids: Tensor | None = None,
    reduction: str = "mean",
    denominator: float | Tensor | None = None,
    num_targets: int | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    return_stats: bool = False,
    return_learnability: bool = False,
    backend: str = "auto",
    workspace_bytes: int | None = None,
) -> Tensor | tuple[Tensor | TokenStats, ...]:
    """Return sum_i c_i / t_b * CE(logits_i, labels_i) over the masked tokens i of every row b, c_i their learnability.

    The learnability is a function of the log-probabilities that the cross-entropy computes anyway, and a constant to
    autograd. "hard" is `select_tokens` on them: 1 for the `num_keep[b]` tokens kept, 0 for the others. "soft" weights
    every masked token: with z_i the row's log-probabilities standardised to mean 0 and deviation 1 over its masked
    tokens, c_i = num_keep[b] * softmax_i((2 t_b - 1) z_i / temperature), so easy tokens count more as t nears 1, hard
    ones as t nears 0, and all alike at t = 1/2.

    The forward product of the head is computed once and the logits are never whole. (For a trained head whose logits
    exceed `workspace_bytes` it is computed twice: the weights of all rows must be known before its gradient can be
    summed.) The rejected tokens' rows stay in the gradients' products, as their number is not known on the host.

    Args:
        hidden_states: (B, L, D) bfloat16, float16, float32 or float64.
        weight: (V, D) the head's weight, same dtype and device.
        labels: (B, L) int64, the clean token where the input is masked, `ignore_index` elsewhere.
        timestep: (B,) floating, the diffusion time t in (0, 1]; a constant.
        num_keep: (B,) int64 or int32, between 0 and the number of masked tokens of the row.
        order: (B,) int64 or int32: 1 keeps the easiest, -1 the hardest, 0 any. Not read for "soft".
        learnability: "hard" or "soft".
        temperature: positive; of "soft".
        time_scaling: False leaves out the factor 1 / t_b.
        row_weight: (B,) floating, another constant factor for each row, or None.
        bias: (V,) same dtype as weight.
        seed, row_ids: see `select_tokens`; not read for "soft".
        reduction: "mean" or "sum".
        denominator: what "mean" divides by; by default the number of masked tokens, kept or not, and at least 1.
        ignore_index, exclude_index, num_targets, logit_scale, logit_softcap, backend, workspace_bytes: see
            `linear_cross_entropy`.
        return_stats: also return the `TokenStats` of all masked tokens.
        return_learnability: also return c (B, L): bool for "hard", float32 for "soft"; 0 where not masked.

    Returns:
        The loss, 0-d float32 (float64 for float64 inputs), in nats; or a tuple of it and what else was asked for, in
        the order loss, statistics, learnability.

    Raises:
        ValueError, TypeError: an argument's shape, dtype, device or value does not fit; the message names it.
        RuntimeError: as in `linear_cross_entropy`.

    Example, of two rows with 4 masked tokens each; the first keeps its easiest, the second its hardest:
        >>> t, rho = torch.tensor([0.8, 0.2]), torch.tensor([0.2, 0.3])
        >>> labels = torch.tensor([[5, 3, 9, 7, -100, -100], [-100, -100, 2, 8, 8, 1]])
        >>> num_keep = ((labels != -100).sum(1) * t / (t + rho)).round().long()
        >>> order, example_id = torch.tensor([1, -1]), torch.tensor([1041, 7])
        >>> hidden_states, weight = torch.randn(2, 6, 8, requires_grad=True), torch.randn(10, 8)
        >>> loss, kept = lift_cross_entropy(
        ...     hidden_states, weight, labels, t, num_keep, order, seed=0, row_ids=example_id, return_learnability=True
        ... )
        >>> kept.sum(1)
        tensor([3, 2])
        >>> loss.backward()

    Source: the one-forward objective of LIFT (arXiv 2605.22939); "soft" is this package's smooth form of it.
    """
    hidden_states, weight, bias = head_inputs(_OP, hidden_states, weight, bias)
    labels, timestep, num_keep, order, row_weight, row_ids, denominator = checks.local(
        _OP, labels=labels, timestep=timestep, num_keep=num_keep, order=order, row_weight=row_weight, row_ids=row_ids,
        denominator=denominator,
    )  # fmt: skip
    checks.check_head_options(
        _OP, ignore_index=ignore_index, num_targets=num_targets, logit_scale=logit_scale, logit_softcap=logit_softcap,
        workspace_bytes=workspace_bytes, backend=backend, exclude_index=exclude_index, vocab_size=weight.shape[0],
    )  # fmt: skip
    checks.check_choice(_OP, "learnability", learnability, _LEARNABILITIES)
    checks.check_choice(_OP, "reduction", reduction, _REDUCTIONS)
    checks.check_positive(_OP, "temperature", temperature)
    flags = {"time_scaling": time_scaling, "return_stats": return_stats, "return_learnability": return_learnability}
    for name, flag in flags.items():
        checks.check_bool(_OP, name, flag)
    _check_rows(hidden_states, labels, timestep, num_keep, order, row_weight, row_ids)
    if seed is not None:
        checks.check_seed(_OP, seed)
    elif learnability == "hard":
        checks.check_seed_given(_OP, labels.device)
    checks.refuse_transforms(_OP, timestep, row_weight, denominator)
    checks.check_denominator(_OP, denominator, reduction, hidden_states.device)

    timestep = timestep.detach().to(statistics_dtype(hidden_states.dtype))
    factor = 1 / timestep if time_scaling else torch.ones_like(timestep)
    row_weight = factor if row_weight is None else factor * row_weight.detach().to(factor.dtype)
    if reduction == "mean":
        if denominator is None:
            denominator = (labels != ignore_index).sum().clamp(min=1) if num_targets is None else max(num_targets, 1)
        row_weight = row_weight / denominator
    is_soft = learnability == "soft"
    loss, weights, *stats = lift_loss(
        hidden_states.reshape(-1, hidden_states.shape[-1]), weight, bias, labels, row_weight, timestep, num_keep, order,
        row_ids, seed, is_soft, temperature, ignore_index, exclude_index, num_targets, logit_scale, logit_softcap,
        return_stats, workspace_bytes, backend,
    )  # fmt: skip
    if not return_stats and not return_learnability:
        return loss
    token_stats = (TokenStats.from_flat(stats, labels.shape),) if return_stats else ()
    kept = (weights.detach() if is_soft else weights.detach() != 0,) if return_learnability else ()
    return (loss, *token_stats, *kept)


def _check_rows(
    hidden_states: Tensor,
    labels: Tensor,
    timestep: Tensor,
    num_keep: Tensor,
    order: Tensor,
    row_weight: Tensor | None,
    row_ids: Tensor | None,
) -> None:
    if hidden_states.dim() != 3:
        raise ValueError(f"{_OP}: hidden_states must have shape (B, L, D), got {tuple(hidden_states.shape)}.")
    checks.check_targets(_OP, labels, hidden_states, name="labels")
    constants = {"timestep": timestep} | ({} if row_weight is None else {"row_weight": row_weight})
    integers = {"num_keep": num_keep, "order": order} | ({} if row_ids is None else {"row_ids": row_ids})
    for name, tensor in constants.items():
        checks.check_floating(_OP, name, tensor)
        checks.check_constant(_OP, name, tensor)
    for name, tensor in integers.items():
        checks.check_integer(_OP, name, tensor)
    for name, tensor in (constants | integers).items():
        checks.check_shape(_OP, name, tensor, labels.shape[:1], f"labels {tuple(labels.shape)}")
    checks.check_same_device(_OP, hidden_states=hidden_states, labels=labels, **constants, **integers)
    checks.check_timestep(_OP, timestep)
    if row_weight is not None:
        checks.check_finite(_OP, "row_weight", row_weight)

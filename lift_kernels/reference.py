"""The definitions: the shortest eager code that states what each op computes, in any dtype.

Nothing in the product imports this module. Tests compare the fast implementations with it in float64. The losses build
the full (N, V) logits and are differentiable by autograd; the draws are plain Python integers and loops.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def linear_logits(
    hidden_states: Tensor,  # (..., D)
    weight: Tensor,  # (V, D)
    bias: Tensor | None = None,  # (V,)
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    exclude_index: int | None = None,  # an entry without probability
) -> Tensor:  # (..., V)
    logits = logit_scale * F.linear(hidden_states, weight, bias)
    logits = logits if logit_softcap is None else logit_softcap * torch.tanh(logits / logit_softcap)
    if exclude_index is None:
        return logits
    return logits.masked_fill(torch.arange(len(weight), device=logits.device) == exclude_index, -torch.inf)


def log_prob_of(logits: Tensor, targets: Tensor) -> Tensor:  # (..., V), (...) -> (...)
    """-log(1 + sum_{v != y} exp(z_v - z_y)), exact however near to 0: where p is 1 - 1e-12, z_y - lse has 4 digits."""
    target = targets[..., None]
    others = logits.scatter(-1, target, -torch.inf).logsumexp(-1)
    # F.softplus of its own accord drops the 1 where it matters less than 2e-9.
    return -F.softplus(others - logits.gather(-1, target)[..., 0], threshold=40)


def linear_cross_entropy(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor,  # (...) int64
    *,
    token_weight: Tensor | None = None,  # (...)
    bias: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    denominator: float | Tensor | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    exclude_index: int | None = None,
) -> Tensor:
    """sum_i token_weight_i * CE(logit_scale * (h_i W^T + b), y_i), in nats."""
    logits = linear_logits(hidden_states, weight, bias, logit_scale, logit_softcap, exclude_index)
    is_target = targets != ignore_index
    nll = -log_prob_of(logits, targets.where(is_target, 0)).where(is_target, 0)
    if token_weight is not None:
        nll = nll * token_weight
    if reduction == "none":
        return nll
    if reduction == "sum":
        return nll.sum()
    return nll.sum() / ((targets != ignore_index).sum().clamp(min=1) if denominator is None else denominator)


def linear_token_stats(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    ignore_index: int = -100,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    exclude_index: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(log_prob, lse, entropy, max_log_prob, argmax) of every token; ignored tokens get 0 and argmax -1."""
    logits = linear_logits(hidden_states, weight, bias, logit_scale, logit_softcap, exclude_index)
    log_probs = logits.log_softmax(-1)
    max_log_prob, argmax = log_probs.max(-1)
    entropy = -torch.xlogy(log_probs.exp(), log_probs.exp()).sum(-1)
    lse = logits.logsumexp(-1)
    if targets is None:
        return torch.zeros_like(lse), lse, entropy, max_log_prob, argmax
    is_target = targets != ignore_index
    log_prob = log_prob_of(logits, targets.where(is_target, 0))
    log_prob, lse, entropy, max_log_prob = (
        value.where(is_target, 0) for value in (log_prob, lse, entropy, max_log_prob)
    )
    return log_prob, lse, entropy, max_log_prob, argmax.where(is_target, -1)


def linear_sample(
    hidden_states: Tensor,  # (N, D)
    weight: Tensor,
    *,
    temperature: float,
    seed: int,
    row_ids: Tensor,  # (N,) integer
    positions: Tensor,  # (N,) integer
    top_k: int | None = None,
    top_p: float | None = None,
    bias: Tensor | None = None,
    exclude_index: int | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(token, log_prob, entropy): the first largest z / temperature - ln(-ln u) of those that the filters keep."""
    logits = linear_logits(hidden_states, weight, bias, logit_scale, logit_softcap, exclude_index)
    token = logits.argmax(-1)
    for i, row in enumerate(logits if temperature > 0 else ()):
        z = {v: value / temperature for v, value in enumerate(row.tolist()) if value > -math.inf}
        if top_k is not None:
            z = {v: value for v, value in z.items() if value >= sorted(z.values())[-top_k:][0]}
        if top_p is not None:
            total, before, kept = sum(math.exp(value) for value in z.values()), 0.0, {}
            for v in sorted(z, key=lambda v: -z[v]):
                if before < top_p * total:
                    kept[v] = z[v]
                before += math.exp(z[v])
            z = kept
        noisy = {v: value + entry_noise(seed, int(row_ids[i]), int(positions[i]), v) for v, value in z.items()}
        token[i] = min(noisy, key=lambda v: (-noisy[v], v))
    p = logits.softmax(-1)
    return token, log_prob_of(logits, token), -torch.xlogy(p, p).sum(-1)


def entry_noise(seed: int, row_id: int, position: int, entry: int) -> float:
    """Gumbel noise of a vocabulary entry: stream 2 + entry // 4, word entry % 4, its upper 23 bits and a half."""
    row_id %= 2**64
    counter = (position, row_id % 2**32, row_id >> 32, 2 + entry // 4)
    word = philox_4x32((seed % 2**32, seed >> 32), counter)[entry % 4]
    return -math.log(-math.log(((word >> 9) + 0.5) / 2**23))


def soft_learnability(log_prob: Tensor, num_keep: int, timestep: float, temperature: float = 1.0) -> Tensor:
    """Of one row's masked tokens: num_keep * softmax((2t - 1) z / temperature), z their standardised log_prob (M,)."""
    deviation = log_prob.std(correction=0)
    z = (log_prob - log_prob.mean()) / deviation if deviation > 0 else torch.zeros_like(log_prob)
    return num_keep * torch.softmax((2 * timestep - 1) * z / temperature, 0)


def lift_cross_entropy(
    hidden_states: Tensor,  # (B, L, D)
    weight: Tensor,
    labels: Tensor,  # (B, L)
    timestep: Tensor,  # (B,)
    num_keep: Tensor,  # (B,)
    order: Tensor,  # (B,)
    *,
    learnability: str = "hard",
    temperature: float = 1.0,
    time_scaling: bool = True,
    row_weight: Tensor | None = None,  # (B,)
    bias: Tensor | None = None,
    ignore_index: int = -100,
    seed: int | None = None,
    row_ids: Tensor | None = None,
    denominator: float | Tensor | None = None,
    logit_scale: float = 1.0,
    logit_softcap: float | None = None,
    exclude_index: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(sum_i c_i / t_b * CE_i / denominator, c), where c, the learnability, is a constant to autograd."""
    head = {
        "bias": bias, "ignore_index": ignore_index, "logit_scale": logit_scale, "logit_softcap": logit_softcap,
        "exclude_index": exclude_index,
    }  # fmt: skip
    nll = linear_cross_entropy(hidden_states, weight, labels, reduction="none", **head)  # type: ignore[arg-type]
    is_masked = labels != ignore_index
    c = torch.zeros_like(nll)
    if learnability == "hard":
        c += select_tokens(-nll.detach(), is_masked, num_keep, order, seed=seed, row_ids=row_ids)
    else:
        for b, t in enumerate(timestep.tolist()):
            if is_masked[b].any():
                c[b, is_masked[b]] = soft_learnability(-nll[b, is_masked[b]].detach(), int(num_keep[b]), t, temperature)
    scale = 1 / timestep[:, None] if time_scaling else torch.ones_like(timestep[:, None])
    scale = scale if row_weight is None else scale * row_weight[:, None]
    return (c * scale * nll).sum() / (is_masked.sum().clamp(min=1) if denominator is None else denominator), c


def philox_4x32(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Philox-4x32-10: four random 32-bit words, a function of a 64-bit key and a 128-bit counter."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        product_0, product_1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1 = (product_1 >> 32) ^ c1 ^ k0, product_1 % 2**32
        c2, c3 = (product_0 >> 32) ^ c3 ^ k1, product_0 % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def random_word(seed: int, row_id: int, position: int, stream: int) -> int:
    """The word that (seed, row id, position, stream) draws; stream 0 corrupts tokens, stream 1 selects."""
    row_id %= 2**64
    return philox_4x32((seed % 2**32, seed >> 32), (position, row_id % 2**32, row_id >> 32, stream))[0]


def corrupt_tokens(
    input_ids: Tensor,  # (B, L) integer
    mask_prob: Tensor,  # (B,) or (B, L)
    *,
    mask_token_id: int,
    seed: int,
    maskable: Tensor | None = None,  # (B, L) bool
    row_ids: Tensor | None = None,  # (B,) integer
) -> tuple[Tensor, Tensor]:
    """(corrupted ids, is_masked): a maskable token is masked iff its uniform < mask_prob, as float32."""
    corrupted, is_masked = input_ids.clone(), torch.zeros(input_ids.shape, dtype=torch.bool)
    for b, row in enumerate(input_ids):
        row_id = b if row_ids is None else int(row_ids[b])
        for i in range(len(row)):
            uniform = (random_word(seed, row_id, i, stream=0) >> 8) / 2**24
            threshold = (mask_prob[b] if mask_prob.dim() == 1 else mask_prob[b, i]).float().item()
            if uniform < threshold and (maskable is None or maskable[b, i]):
                corrupted[b, i] = mask_token_id
                is_masked[b, i] = True
    return corrupted, is_masked


def select_tokens(
    score: Tensor,  # (B, L)
    is_masked: Tensor,  # (B, L) bool
    num_keep: Tensor,  # (B,) integer
    order: Tensor,  # (B,) integer: 1 highest scores, -1 lowest, 0 random
    *,
    seed: int | None = None,
    row_ids: Tensor | None = None,  # (B,) integer
) -> Tensor:
    """is_kept (B, L): the first num_keep masked positions by score (NaN last), ties to the lower position."""
    is_kept = torch.zeros(is_masked.shape, dtype=torch.bool)
    for b, row_order in enumerate(order.tolist()):
        row_id = b if row_ids is None else int(row_ids[b])
        ranking = []
        for i, value in enumerate(score[b].tolist()):
            if row_order == 0:
                assert seed is not None
                key: tuple[bool, float] = (False, -random_word(seed, row_id, i, stream=1))
            else:
                key = (True, 0.0) if math.isnan(value) else (False, -row_order * value)
            if is_masked[b, i]:
                ranking.append((*key, i))
        for *_, i in sorted(ranking)[: int(num_keep[b])]:
            is_kept[b, i] = True
    return is_kept

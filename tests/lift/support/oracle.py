"""LIFT's loss computed from its description alone: row by row, token by token, through full logits.

The truth of the tests of whole trainers. Nothing of `lift` or `lift_kernels` takes part but the seed of a step, since a
random draw must be the same to be compared, and the reference of the generator and of soft learnability.

Source: LIFT (arXiv 2605.22939), with the floors and roundings that lift/objectives/README.md lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lift.objectives import step_seed
from lift_kernels import reference

MASK_STREAM, SUBSET_STREAM, TIME_STREAM = 0, 1, 2


def loss_by_description(
    model: Callable[..., Any],
    inputs: dict[str, Any],
    config: Any,
    *,
    step: int = 0,
    mask_token_id: int = 1,
    rate: Callable[[Tensor], Tensor] = lambda time: time,
    weight: Callable[[Tensor], Tensor] = lambda time: 1 / time,
) -> tuple[Tensor, list[str]]:
    """Return the loss of one micro-batch that is a whole step, with gradient, and the mode of each row.

    Args:
        model: called on one row's ids, and its attention mask where `inputs` has one; its output has `logits` (1, L, V).
        inputs: `input_ids`, `maskable` (B, L) and `example_id` (B,), as a collator gives them.
        config: its method ("sft", "lift2" or "lift3") and seed are read; what else it may say is taken to be the default.
        step: the optimiser step.
        mask_token_id: of the model.
        rate: the mask rate at a diffusion time, (B,) -> (B,).
        weight: what a trained token counts at a diffusion time, (B,) -> (B,).
    """
    seed = step_seed(config.seed, step)
    diffusion_time, rho = times_and_rates(seed, inputs["example_id"], rate)
    time, weights = rate(diffusion_time), weight(diffusion_time)
    selects = config.method != "sft"
    total, modes = torch.zeros(()), []
    for row, example in enumerate(inputs["example_id"].tolist()):
        t, mask_rate = time[row].item(), (time[row] + rho[row] if selects else time[row]).item()
        kept = masked_positions(seed, example, inputs["maskable"][row], mask_rate)
        if selects:
            mode = mode_at(t, config.method)
            modes.append(mode)
            count = num_to_keep(len(kept), t, rho[row].item(), mode)
            if mode == "middle":
                kept = random_subset(seed, example, kept, count)
            else:
                with torch.no_grad():
                    gold = gold_log_probs(model, inputs, row, kept, mask_token_id)
                order = gold.argsort(descending=mode == "easy", stable=True)
                kept = [kept[i] for i in order[:count].tolist()]
        if kept:
            total = total - gold_log_probs(model, inputs, row, kept, mask_token_id).sum() * weights[row]
    return total / inputs["maskable"].sum(), modes


def one_forward_loss_by_description(
    model: Callable[..., Any], inputs: dict[str, Any], config: Any, *, mask_token_id: int = 1
) -> Tensor:
    """Return the loss of LIFT in one forward, with gradient: tokens are scored where they are trained.

    Arguments as in `loss_by_description`; of `config`, `learnability` counts too.
    """
    seed = step_seed(config.seed, 0)
    time, rho = times_and_rates(seed, inputs["example_id"])
    total = torch.zeros(())
    for row, example in enumerate(inputs["example_id"].tolist()):
        t, mode = time[row].item(), mode_at(time[row].item(), config.method)
        masked = masked_positions(seed, example, inputs["maskable"][row], (time[row] + rho[row]).item())
        count = num_to_keep(len(masked), t, rho[row].item(), mode)
        if config.learnability == "hard" and mode == "middle":
            masked = random_subset(seed, example, masked, count)
        if not masked:
            continue
        gold = gold_log_probs(model, inputs, row, masked, mask_token_id)
        if config.learnability == "soft":
            learnability = reference.soft_learnability(gold.detach(), count, t)
        else:
            best = gold.detach().argsort(descending=mode == "easy", stable=True)[:count]
            learnability = torch.zeros(len(masked)).index_fill_(0, best, 1.0)
        total = total - (learnability * gold).sum() / t
    return total / inputs["maskable"].sum()


def times_and_rates(
    seed: int, example_id: Tensor, rate: Callable[[Tensor], Tensor] = lambda time: time
) -> tuple[Tensor, Tensor]:
    """Return the diffusion time t in [0.001, 1] and the over-mask rate rho of each row, float32 (B,)."""
    draws = [[uniform(seed, example, i, TIME_STREAM) for i in (0, 1)] for example in example_id.tolist()]
    u, r = torch.tensor(draws).unbind(1)
    highest = 1 - rate(u)
    lowest = torch.where(highest > 0.1, 0.1, 0.0)
    return (1 - 1e-3) * u + 1e-3, lowest + (highest - lowest) * r


def uniform(seed: int, example: int, index: int, stream: int) -> float:
    """Return a number in [0, 1) of 24 bits."""
    return (reference.random_word(seed, example, index, stream) >> 8) * 2.0**-24


def masked_positions(seed: int, example: int, maskable: Tensor, mask_rate: float) -> list[int]:
    """Return the positions that may be masked and whose own draw lies below the rate."""
    return [p for p in range(len(maskable)) if maskable[p] and uniform(seed, example, p, MASK_STREAM) < mask_rate]


def mode_at(t: float, method: str) -> str:
    """Return what a row of time t learns from: the hardest, a middle or the easiest of its masked tokens."""
    low, high = (1 / 2, 1 / 2) if method == "lift2" else (1 / 3, 2 / 3)
    return "easy" if t >= high else "hard" if t < low else "middle"


def num_to_keep(num_masked: int, t: float, rho: float, mode: str) -> int:
    """Return the share t / (t + rho) of the masked tokens, half to even; at least one in the middle."""
    count = round(num_masked * max(t / (t + rho), 1e-3))
    return max(count, min(1, num_masked)) if mode == "middle" else count


def random_subset(seed: int, example: int, positions: list[int], count: int) -> list[int]:
    """Return the `count` positions with the largest draws."""
    draws = {p: reference.random_word(seed, example, p, SUBSET_STREAM) for p in positions}
    return sorted(positions, key=draws.__getitem__, reverse=True)[:count]


def gold_log_probs(
    model: Callable[..., Any], inputs: dict[str, Any], row: int, positions: list[int], mask_token_id: int
) -> Tensor:
    """Return the log-probability, in nats, of the true token at each of the positions when these are masked."""
    clean = inputs["input_ids"][row]
    noisy = clean.clone()
    noisy[positions] = mask_token_id
    attention = {"attention_mask": inputs["attention_mask"][row : row + 1]} if "attention_mask" in inputs else {}
    return model(noisy[None], **attention).logits[0].log_softmax(-1)[positions, clean[positions]]

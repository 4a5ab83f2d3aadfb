"""GIFT: mask a token the more often, the less certain the model is of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lift.objectives.batch import DenoisingBatch, EntropyFunction
from lift.objectives.complementary import LOWEST_TIME
from lift.objectives.forward_process import step_seed
from lift.objectives.micro_batch import MicroBatch, TrainingBatch
from lift_kernels import corrupt_tokens

_LOWEST_MEAN = 1e-12
_LOWEST_RATE = 1e-6


def build(rows: MicroBatch) -> TrainingBatch:
    """Make the training batch of `gift`, whose `maskable` is what it drew."""
    fallback = None
    if rows.options.gift_fallback == "collator":
        # With a seed of its own: it is used where GIFT's draw, of the step's seed, was empty.
        fallback = corrupt_tokens(
            rows.clean_ids, rows.draws.timestep, mask_token_id=rows.mask_token_id, maskable=rows.maskable,
            row_ids=rows.example_id, seed=step_seed(rows.seed, 0),
        ).is_masked  # fmt: skip
    batch = gift_batch(
        rows.clean_ids, _response(rows), rows.draws.timestep, rows.entropy, mean_root=rows.mean_of_step,
        fallback=fallback, unsafe_division=rows.options.gift_unsafe_div, complementary=rows.options.complementary,
        **rows.mask_draw,
    )  # fmt: skip
    return TrainingBatch(batch, batch.labels != -100, rows.draws)


def whole_step(rows: Sequence[MicroBatch], reduce: Callable[[Tensor], Tensor]) -> list[MicroBatch]:
    """Ask for the entropies of all micro-batches, and give each the mean of their roots over the step."""
    entropies = [one.entropy(*_all_masked(one.clean_ids, _response(one), one.mask_token_id)) for one in rows]
    sums = sum(_root_sums(entropy, _response(one)) for entropy, one in zip(entropies, rows, strict=True))
    mean = _mean(reduce(torch.as_tensor(sums)))
    return [
        replace(one, entropy=partial(_known, entropy), mean_of_step=mean.to(entropy.dtype))
        for one, entropy in zip(rows, entropies, strict=True)
    ]


def _known(entropy: Tensor, _input_ids: Tensor, _labels: Tensor) -> Tensor:
    return entropy


def _response(rows: MicroBatch) -> Tensor:
    """What may be masked without the padding, or, as published, without any token that is the pad token."""
    is_padding = rows.clean_ids == rows.pad_token_id if rows.options.reference_quirks else rows.is_padding
    return rows.maskable & ~is_padding


def _all_masked(clean_ids: Tensor, response: Tensor, mask_token_id: int) -> tuple[Tensor, Tensor]:
    """Input and labels (B, L) of the forward that gives the entropies."""
    return clean_ids.masked_fill(response, mask_token_id), clean_ids.where(response, -100)


def _root_sums(entropy: Tensor, response: Tensor) -> Tensor:
    """The sum of the roots over the response, and its tokens: (2,) float64, where the device has it."""
    dtype = torch.float32 if entropy.device.type == "mps" else torch.float64
    root = entropy.clamp(min=0).sqrt()
    return torch.stack([(root * response).sum(dtype=dtype), response.sum().to(dtype)])


def _mean(sums: Tensor) -> Tensor:
    return sums[0] / sums[1].clamp(min=1)


def gift_batch(
    clean_ids: Tensor,  # (B, L)
    response: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    entropy: EntropyFunction,
    *,
    mask_token_id: int,
    seed: int,
    example_id: Tensor,  # (B,)
    mean_root: Tensor | None = None,  # 0-d
    fallback: Tensor | None = None,  # (B, L) bool
    unsafe_division: bool = False,
    complementary: bool = False,
) -> DenoisingBatch:
    """Mask each response token i at its own rate t_i from `gift_rates` and train it with weight 1/t_i.

    `response` leaves out the prompt and padding. `entropy(input_ids, labels)` is asked for the entropies of the model's
    predictions when the whole response is masked. The rates depend on all rows of the batch by their mean, or on
    `mean_root` in its place; the draws of a row, given its rates, on (seed, example_id) alone. `fallback` and
    `unsafe_division`: see `gift_batch_of_draw`. `complementary` adds a second view of each row, which masks the rest of
    its response: at the rates 1 - t_i, at least 1e-3 in its weights.
    """
    rates = gift_rates(
        entropy(*_all_masked(clean_ids, response, mask_token_id)), response, timestep, mean_root=mean_root,
        unsafe_division=unsafe_division,
    )  # fmt: skip
    drawn = corrupt_tokens(
        clean_ids, rates, mask_token_id=mask_token_id, seed=seed, maskable=response, row_ids=example_id
    )
    first = gift_batch_of_draw(
        clean_ids,
        drawn.is_masked,
        rates,
        mask_token_id=mask_token_id,
        fallback=fallback,
        unsafe_division=unsafe_division,
    )
    if not complementary:
        return first
    second = gift_batch_of_draw(
        clean_ids, response & (first.labels == -100), (1 - rates).clamp(min=LOWEST_TIME), mask_token_id=mask_token_id
    )
    input_ids, labels, weight = (torch.cat(pair) for pair in zip(first[:3], second[:3], strict=True))
    num_trained = ((first.labels != -100).sum() + (second.labels != -100).sum()).clamp(min=1).to(rates.dtype)
    return DenoisingBatch(input_ids, labels, weight, num_trained.masked_fill(first.denominator.isnan(), torch.nan))


def gift_rates(
    entropy: Tensor,  # (B, L)
    response: Tensor,  # (B, L) bool
    timestep: Tensor,  # (B,)
    *,
    mean_root: Tensor | None = None,  # 0-d
    unsafe_division: bool = False,
) -> Tensor:
    """Return the mask rates (B, L): t_i = 1 - (1 - t)^(b_i / mean b), with b the square root of the entropy in nats.

    The mean is `mean_root`, by default that over the response tokens of the batch, and at least 1e-12. A rate is at
    least 1e-6, so that a token of entropy 0 has a finite weight; `unsafe_division` leaves that out.

    Source: the entropy-guided baseline in the published code of LIFT (arXiv 2605.22939).
    """
    root = entropy.clamp(min=0).sqrt()
    mean = (root * response).sum() / response.sum().clamp(min=1) if mean_root is None else mean_root
    exponent = root / mean.clamp(min=_LOWEST_MEAN)
    # xlog1py is 0 where the exponent is, even at t = 1; expm1 keeps the digits of small rates.
    rates = -torch.expm1(torch.special.xlog1py(exponent, -timestep[:, None].to(exponent.dtype)))
    rates = rates.masked_fill(rates.isnan(), 1)  # of a model that has diverged: these tokens make the loss say so
    return rates if unsafe_division else rates.clamp(min=_LOWEST_RATE)


def gift_batch_of_draw(
    clean_ids: Tensor,  # (B, L)
    is_drawn: Tensor,  # (B, L) bool
    rates: Tensor,  # (B, L)
    *,
    mask_token_id: int,
    fallback: Tensor | None = None,  # (B, L) bool
    unsafe_division: bool = False,
) -> DenoisingBatch:
    """Mask and train the drawn tokens with weight 1/t_i, and divide by their number.

    Where nothing is drawn in the whole batch, the loss is 0 by default, and `fallback` takes the place of the draw if
    given. (The published code falls back to the collator's plain mask, which may hold padding, and still divides by
    t_i.)

    `unsafe_division` divides at every position, as the published code does: one rate of 0 anywhere, be it in the
    prompt, makes the loss nan.
    """
    is_trained = is_drawn if fallback is None else torch.where(is_drawn.any(), is_drawn, fallback)
    num_trained = is_trained.sum().clamp(min=1).to(rates.dtype)
    if unsafe_division:
        # 0 / 0 at a token that is not trained: the loss never reads such a weight, so the denominator says it.
        num_trained = num_trained.masked_fill((rates == 0).any(), torch.nan)
    return DenoisingBatch(
        input_ids=clean_ids.masked_fill(is_trained, mask_token_id),
        labels=clean_ids.where(is_trained, -100),
        # A trained token whose rate is 0 has no weight that a loss takes; the denominator says that there is none.
        token_weight=1 / rates.where(is_trained & (rates > 0), 1),
        denominator=num_trained,
    )

"""From a micro-batch of clean rows to the input, labels and weights of its training forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lift import objectives
from lift.objectives import MIDDLE, DenoisingBatch
from lift.objectives.forward_process import (
    diffusion_time,
    draw_mode_words,
    draw_time,
    draw_uniforms,
    overmask_rate,
    step_seed,
)
from lift.objectives.options import LiftOptions
from lift_kernels import TokenStats, corrupt_tokens

# Statistics (B, L) of labels (B, L) without gradient, for the rows that are wanted: (input_ids, labels, rows)
Statistics = Callable[[Tensor, Tensor, Tensor], TokenStats]
# Scores (B, L) of clean tokens from elsewhere than the model: (example_id on the host, clean_ids)
Lookup = Callable[[Tensor, Tensor], Tensor]


class TrainingBatch(NamedTuple):
    """One training forward, and what the log says about it."""

    batch: DenoisingBatch
    maskable: Tensor  # bool, shaped as the batch's labels: what the loss may be divided by
    timestep: Tensor  # (B,)
    rho: Tensor | None = None  # (B,)
    order: Tensor | None = None  # (B,)
    rejected: Tensor | None = None  # (B, L) bool: masked and scored, but not kept
    rejected_log_prob: Tensor | None = None  # (B, L)
    lift: dict[str, Any] | None = None  # arguments of lift_cross_entropy, for the one-forward objective


class Draws(NamedTuple):
    """Time, over-mask rate and mode of each row (B,), on the host."""

    timestep: Tensor
    rho: Tensor
    order: Tensor


class TrainingBatches:
    """Builds training batches as `args` say. Every draw is a function of the step's seed, the example and its place.

    `mask_rate` gives the mask rate at a diffusion time, each (B,) in [0, 1]: LIFT's schedule is the identity. The
    objectives know the rate only.
    """

    def __init__(
        self, args: LiftOptions, *, mask_token_id: int, pad_token_id: int, logits_dtype: torch.dtype = torch.float32,
        num_processes: int = 1, mask_rate: Callable[[Tensor], Tensor] = lambda time: time,
    ) -> None:  # fmt: skip
        self.args, self.num_processes, self.mask_rate = args, num_processes, mask_rate
        self.mask_token_id, self.pad_token_id = mask_token_id, pad_token_id
        self.logits_dtype = logits_dtype

    def uniform_time(self, inputs: dict[str, Any], seed: int) -> Tensor:
        """The diffusion time (B,) of each row before its floor, on the host."""
        host_id = host_example_id(inputs)
        return draw_time(
            self.args.timestep_distribution, seed, host_id, fixed_time=self.args.fixed_timestep,
            position=inputs.get("position", torch.arange(host_id.shape[0])),
            num_rows=inputs.get("num_step_rows", host_id.shape[0]),
        )  # fmt: skip

    def draws(self, inputs: dict[str, Any], seed: int) -> Draws:
        """On the host, where the number of rows to score must be known."""
        args, host_id, time = self.args, host_example_id(inputs), self.uniform_time(inputs, seed)
        timestep = self.mask_rate(diffusion_time(time, epsilon=args.time_epsilon))
        uniform_time = self.mask_rate(time)
        if args.method in ("sft", "cart", "gift"):
            nothing = torch.zeros_like(timestep)
            return Draws(timestep, nothing, nothing.long())
        rho = overmask_rate(uniform_time, draw_uniforms(seed, host_id)[1], min_rho=args.min_rho, max_rho=args.max_rho)
        if args.mode_policy == "time":
            return Draws(timestep, rho, objectives.choose_order(timestep, args.method, scope=args.mode_scope))
        shared = inputs.get("micro_batch", 0) if args.mode_scope == "batch" else None
        words = draw_mode_words(seed, host_id, micro_batch=shared)
        return Draws(timestep, rho, objectives.draw_order(words, args.method))

    def counted(self, inputs: dict[str, Any], seed: int) -> Tensor:
        """The `maskable` of the training batch that `build` would make, without making it."""
        maskable: Tensor = inputs["maskable"]
        if not self.args.complementary:
            return maskable
        is_middle = (self.draws(inputs, seed).order == MIDDLE).to(maskable.device)
        return torch.cat([maskable, maskable & is_middle[:, None]])

    def build(
        self, inputs: dict[str, Any], seed: int, statistics: Statistics, lookup: Lookup | None = None
    ) -> TrainingBatch:
        args, clean_ids, maskable = self.args, inputs["input_ids"], inputs["maskable"]
        device = clean_ids.device
        host = self.draws(inputs, seed)
        timestep, rho, order = (values.to(device) for values in host)
        draw: dict[str, Any] = {
            "mask_token_id": self.mask_token_id, "seed": seed, "example_id": inputs["example_id"]
        }  # fmt: skip
        if args.method == "sft":
            return TrainingBatch(objectives.sft_batch(clean_ids, maskable, timestep, **draw), maskable, timestep)
        if args.method == "cart":
            batch = objectives.cart_batch(
                clean_ids, maskable, timestep, p=args.cart_p, attention_mask=inputs.get("attention_mask"), **draw
            )
            return TrainingBatch(batch, maskable, timestep)
        if args.method == "gift":
            return self._gift(clean_ids, maskable, timestep, statistics, draw)
        options: dict[str, Any] = {"time_scaling": args.time_scaling, "min_keep": args.min_keep}
        if args.one_forward:
            taken = objectives.one_forward_batch(
                clean_ids, maskable, timestep, rho, order, learnability=args.learnability, **options, **draw
            )
            lift = {
                "timestep": timestep, "num_keep": taken.num_keep, "order": order, "learnability": args.learnability,
                "temperature": args.soft_temperature, "time_scaling": args.time_scaling, "seed": seed,
                "row_ids": inputs["example_id"],
            }  # fmt: skip
            return TrainingBatch(taken.batch, maskable, timestep, rho, order, lift=lift)

        needs_score = (host.order != MIDDLE).nonzero()[:, 0]
        if self.num_processes > 1:
            # Wrappers may communicate in every forward: all processes must run the same number of them.
            needs_score = torch.arange(host.order.shape[0])
        scored: list[Tensor] = []

        def score(corrupted_ids: Tensor, labels: Tensor, _order: Tensor) -> Tensor:
            if lookup is not None:
                log_prob = lookup(host_example_id(inputs), clean_ids)
            else:
                log_prob = statistics(corrupted_ids, labels, needs_score.to(device)).log_prob
            if args.score_dtype == "logits":
                log_prob = log_prob.to(self.logits_dtype).float()
            scored.extend((log_prob, labels != -100))
            return log_prob

        batch = objectives.lift_batch(clean_ids, maskable, timestep, rho, order, score, **options, **draw)
        log_prob, is_masked = scored
        if args.middle_select == "unordered":
            batch = self._unordered(batch, clean_ids, maskable, is_masked, timestep, rho, order)
        rejected = is_masked & (batch.labels == -100) & (order != MIDDLE)[:, None]
        if args.complementary:
            batch = objectives.complementary_batch(
                batch, clean_ids, maskable, timestep, order=order, mask_token_id=self.mask_token_id,
                time_scaling=args.time_scaling, published=args.reference_quirks,
            )  # fmt: skip
            maskable = torch.cat([maskable, maskable & (order == MIDDLE)[:, None]])
        return TrainingBatch(batch, maskable, timestep, rho, order, rejected, log_prob)

    def _gift(
        self, clean_ids: Tensor, maskable: Tensor, timestep: Tensor, statistics: Statistics, draw: dict[str, Any]
    ) -> TrainingBatch:
        every_row = torch.arange(clean_ids.shape[0], device=clean_ids.device)
        fallback = None
        if self.args.gift_fallback == "collator":
            # With a seed of its own: it is used where GIFT's draw, of the step's seed, was empty.
            fallback = corrupt_tokens(
                clean_ids, timestep, mask_token_id=self.mask_token_id, maskable=maskable, row_ids=draw["example_id"],
                seed=step_seed(draw["seed"], 0),
            ).is_masked  # fmt: skip
        batch = objectives.gift_batch(
            clean_ids, maskable & (clean_ids != self.pad_token_id), timestep,
            lambda input_ids, labels: statistics(input_ids, labels, every_row).entropy,
            fallback=fallback,
            unsafe_division=self.args.gift_unsafe_div, **draw,
        )  # fmt: skip
        return TrainingBatch(batch, maskable, timestep)

    def _unordered(
        self, batch: DenoisingBatch, clean_ids: Tensor, maskable: Tensor, is_masked: Tensor, timestep: Tensor,
        rho: Tensor, order: Tensor,
    ) -> DenoisingBatch:  # fmt: skip
        """Middle rows selected as the published code does: from the largest of random scores, in no order."""
        num_keep = objectives.num_to_keep(is_masked.sum(1), timestep, rho, order, min_keep=self.args.min_keep)
        largest = int(num_keep.max())
        draws = torch.rand(clean_ids.shape, device=clean_ids.device).masked_fill(~is_masked, -1.0)
        subset = objectives.select_unordered(draws.topk(largest, sorted=False).indices, is_masked, num_keep)
        is_kept = torch.where((order == MIDDLE)[:, None], subset, batch.labels != -100)
        return objectives.denoising_batch(
            clean_ids, is_kept, maskable, timestep, mask_token_id=self.mask_token_id,
            time_scaling=self.args.time_scaling,
        )  # fmt: skip


def host_example_id(inputs: dict[str, Any]) -> Tensor:
    """The example ids (B,) on the host; a batch that only has them on a device costs one small copy."""
    host: tuple[int, ...] | None = inputs.get("host_example_id")
    return inputs["example_id"].cpu() if host is None else torch.tensor(host)

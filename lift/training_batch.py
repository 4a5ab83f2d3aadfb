"""From a micro-batch of clean rows to the input, labels and weights of its training forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lift import objectives
from lift.config import LiftConfig
from lift.forward_process import diffusion_time, draw_mode_words, draw_uniforms, overmask_rate
from lift.objectives import MIDDLE, DenoisingBatch
from lift_kernels import corrupt_tokens, select_tokens

# log-probabilities (B, L) of labels (B, L), for the rows that are wanted: (input_ids, labels, rows) -> (B, L)
ScoreFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


class TrainingBatch(NamedTuple):
    """One training forward, and what the log says about it."""

    batch: DenoisingBatch
    timestep: Tensor  # (B,)
    rho: Tensor | None = None  # (B,)
    order: Tensor | None = None  # (B,)
    rejected: Tensor | None = None  # (B, L) bool: masked and scored, but not kept
    rejected_log_prob: Tensor | None = None  # (B, L)
    lift: dict[str, Any] | None = None  # arguments of lift_cross_entropy, for the one-forward objective


class TrainingBatches:
    """Builds training batches as `args` say. Every draw is a function of the step's seed and the example."""

    def __init__(self, args: LiftConfig, mask_token_id: int) -> None:
        self.args, self.mask_token_id = args, mask_token_id

    def build(self, inputs: dict[str, Tensor], seed: int, score: ScoreFunction) -> TrainingBatch:
        args, clean_ids, maskable, example_id = self.args, inputs["input_ids"], inputs["maskable"], inputs["example_id"]
        device = clean_ids.device
        # On the host, where the rows to score must be known.
        host_id = inputs.get("host_example_id", example_id).cpu()
        uniform_time, uniform_rho = draw_uniforms(seed, host_id)
        timestep = diffusion_time(uniform_time, epsilon=args.time_epsilon)
        draw: dict[str, Any] = {"mask_token_id": self.mask_token_id, "seed": seed, "example_id": example_id}
        if args.method == "sft":
            timestep = timestep.to(device)
            return TrainingBatch(objectives.sft_batch(clean_ids, maskable, timestep, **draw), timestep)

        rho = overmask_rate(uniform_time, uniform_rho, min_rho=args.min_rho)
        if args.mode_policy == "time":
            order = objectives.choose_order(timestep, args.method)
        else:
            order = objectives.draw_order(draw_mode_words(seed, host_id), args.method)
        needs_score = (order != MIDDLE).nonzero()[:, 0]
        if args.world_size > 1:
            # Wrappers may communicate in every forward: all processes must run the same number of them.
            needs_score = torch.arange(order.shape[0])
        timestep, rho, order = timestep.to(device), rho.to(device), order.to(device)
        if args.one_forward:
            return self._one_forward(clean_ids, maskable, example_id, timestep, rho, order, seed)

        scored: list[Tensor] = []

        def remember(corrupted_ids: Tensor, labels: Tensor, _order: Tensor) -> Tensor:
            scored.extend((score(corrupted_ids, labels, needs_score.to(device)), labels != -100))
            return scored[0]

        batch = objectives.lift_batch(
            clean_ids, maskable, timestep, rho, order, remember, time_scaling=args.time_scaling, **draw
        )
        log_prob, is_masked = scored
        rejected = is_masked & (batch.labels == -100) & (order != MIDDLE)[:, None]
        return TrainingBatch(batch, timestep, rho, order, rejected, log_prob)

    def _one_forward(
        self, clean_ids: Tensor, maskable: Tensor, example_id: Tensor, timestep: Tensor, rho: Tensor, order: Tensor,
        seed: int,
    ) -> TrainingBatch:  # fmt: skip
        """Easy and hard rows stay masked at t + rho and are selected inside the loss; middle rows need no scores."""
        args = self.args
        _, is_masked = corrupt_tokens(
            clean_ids, timestep + rho, mask_token_id=self.mask_token_id, seed=seed, maskable=maskable,
            row_ids=example_id,
        )  # fmt: skip
        num_keep = objectives.num_to_keep(is_masked.sum(1), timestep, rho, order)
        if args.learnability == "hard":
            middle = torch.full_like(order, MIDDLE)
            no_score = torch.zeros_like(clean_ids, dtype=torch.float32)
            subset = select_tokens(no_score, is_masked, num_keep, middle, seed=seed, row_ids=example_id)
            is_masked = torch.where((order == MIDDLE)[:, None], subset, is_masked)
        batch = objectives.denoising_batch(
            clean_ids, is_masked, maskable, timestep, mask_token_id=self.mask_token_id, time_scaling=args.time_scaling
        )
        lift = {
            "timestep": timestep, "num_keep": num_keep, "order": order, "learnability": args.learnability,
            "temperature": args.soft_temperature, "time_scaling": args.time_scaling, "seed": seed,
            "row_ids": example_id,
        }  # fmt: skip
        return TrainingBatch(batch, timestep, rho, order, lift=lift)

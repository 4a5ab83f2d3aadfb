"""Training and evaluation batches from clean rows: their draws, masks, labels and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lift.data.collated_batch import CollatedBatch, host_example_id
from lift.objectives import (
    METHODS,
    DenoisingBatch,
    Draws,
    LiftOptions,
    MicroBatch,
    TrainingBatch,
    choose_order,
    diffusion_time,
    draw_order,
    draw_time,
    draw_uniforms,
    overmask_rate,
    sft_batch,
)
from lift.objectives.complementary import maskable_of_views
from lift.objectives.forward_process import draw_mode_words
from lift.objectives.micro_batch import build_training_batch, whole_step
from lift.training.scorer import Scorer, ScoringCall
from lift_kernels.models import ModelFamily


class BatchBuilder:
    """Draws noise and makes training batches as `options` say.

    Every draw is a function of the step's seed, the example and its place in the step.

    Args:
        options: resolved.
        scorer: whom the methods that select tokens ask.
        mask_token_id, pad_token_id: of the model.
        mask_rate: the mask rate at a diffusion time, each (B,) in [0, 1]: LIFT's schedule is the identity. The
            objectives know the rate only.
    """

    def __init__(
        self, options: LiftOptions, scorer: Scorer, *, mask_token_id: int, pad_token_id: int,
        mask_rate: Callable[[Tensor], Tensor] = lambda time: time,
    ) -> None:  # fmt: skip
        self.options, self.scorer, self.mask_rate = options, scorer, mask_rate
        self.mask_token_id, self.pad_token_id = mask_token_id, pad_token_id

    def draw(self, inputs: CollatedBatch, seed: int) -> Draws:
        """Draw time, over-mask rate and mode of each row, on the host."""
        options, example_id = self.options, host_example_id(inputs)
        u = draw_time(
            options.timestep_distribution, seed, example_id, fixed_time=options.fixed_timestep,
            position=inputs.get("position", torch.arange(example_id.shape[0])),
            num_rows=inputs.get("num_step_rows", example_id.shape[0]),
        )  # fmt: skip
        timestep = self.mask_rate(diffusion_time(u, epsilon=options.time_epsilon))
        if not METHODS[options.method].selects_tokens:
            return Draws(u, timestep)
        uniform_rho = draw_uniforms(seed, example_id)[1]
        rho = overmask_rate(self.mask_rate(u), uniform_rho, min_rho=options.min_rho, max_rho=options.max_rho)
        if options.mode_policy == "time":
            return Draws(u, timestep, rho, choose_order(timestep, options.method, scope=options.mode_scope))
        shared = inputs.get("micro_batch", 0) if options.mode_scope == "batch" else None
        return Draws(
            u, timestep, rho, draw_order(draw_mode_words(seed, example_id, micro_batch=shared), options.method)
        )

    def maskable(self, inputs: CollatedBatch, draws: Draws) -> Tensor:
        """Return the `maskable` of the training batch, bool: what the loss may be divided by. It asks no model."""
        if "rows" in inputs:
            return build_training_batch(inputs["rows"]).maskable
        maskable = inputs["maskable"]
        if not self.options.complementary:
            return maskable
        assert draws.order is not None
        return maskable_of_views(maskable, draws.order.to(maskable.device))

    def build(
        self, inputs: CollatedBatch, draws: Draws, seed: int, module: nn.Module, *,
        forward: Callable[..., Any] | None = None, is_evaluation: bool = False,
    ) -> TrainingBatch:  # fmt: skip
        """Mask the rows, score what is masked, keep what is learnable and put the rest back: as the method does.

        Args:
            inputs: clean rows.
            draws: of these rows, on the host.
            seed: of the step, the same on all processes.
            module: the patched model.
            forward: what scores in place of `module` itself, of which it is the forward.
            is_evaluation: the rows are no training rows.
        """
        rows = inputs.get("rows")
        if rows is None:
            call = ScoringCall(self.scorer, module, forward or module, inputs, draws, is_evaluation)
            rows = self._rows(inputs, draws, seed, call)
        return build_training_batch(rows)

    @property
    def reads_step(self) -> bool:
        """Whether micro-batches depend on the others of their step: not with micro_batch, the published rule."""
        return METHODS[self.options.method].reads_step and self.options.loss_normalizer != "micro_batch"

    def read_step(
        self, batches: Sequence[CollatedBatch], seed: int, module: nn.Module, reduce: Callable[[Tensor], Tensor]
    ) -> None:
        """Let a method that `reads_step` see all its micro-batches, each with its draws, before any is trained.

        Every process must call it.
        """
        calls = [ScoringCall(self.scorer, module, module, batch, batch["draws"]) for batch in batches]
        rows = [self._rows(batch, batch["draws"], seed, call) for batch, call in zip(batches, calls, strict=True)]
        for batch, complete in zip(batches, whole_step(rows, reduce), strict=True):
            batch["rows"] = complete

    def _rows(self, inputs: CollatedBatch, draws: Draws, seed: int, call: ScoringCall) -> MicroBatch:
        return MicroBatch(
            inputs["input_ids"],
            inputs["maskable"],
            inputs["example_id"],
            inputs.get("attention_mask"),
            draws.to(inputs["input_ids"].device),
            seed,
            self.options,
            self.mask_token_id,
            self.pad_token_id,
            score=call.log_prob,
            entropy=call.entropy,
            lengths=inputs.get("lengths"),
        )

    def evaluation_batch(self, inputs: CollatedBatch, u: Tensor, seed: int) -> DenoisingBatch:
        """Mask the rows for plain SFT at the times u (B,), before their floor."""
        return sft_batch(
            inputs["input_ids"],
            inputs["maskable"],
            self.mask_rate(diffusion_time(u, epsilon=self.options.time_epsilon)),
            mask_token_id=self.mask_token_id,
            seed=seed,
            example_id=inputs["example_id"],
        )


def label_arguments(family: ModelFamily, options: LiftOptions) -> dict[str, Any]:
    """Return how the patched forward of a model that predicts the next token is to take labels; else nothing."""
    if not family.predicts_next:
        return {}
    if options.lift_ignores_shift and METHODS[options.method].selects_tokens:
        return {"predicts_next": False}
    return {"first_position": "zeros" if options.shift_first == "zeros" else "ignore"}

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
from lift.objectives.block_times import draw_block_times
from lift.objectives.blocks import Blocks
from lift.objectives.complementary import maskable_of_views
from lift.objectives.forward_process import draw_mode_words
from lift.objectives.micro_batch import build_training_batch, whole_step
from lift.objectives.time_density import TimeDensity
from lift.objectives.time_density_file import read_time_density
from lift.objectives.uniform_noise import UniformNoise
from lift.training.scorer import Scorer, ScoringCall
from lift_kernels.models import ModelFamily


class BatchBuilder:
    """Draws noise and makes training batches as `options` say.

    Every draw is a function of the step's seed, the example and its place in the step.

    Args:
        options: resolved.
        scorer: whom the methods that select tokens ask.
        mask_token_id: of the model; with corruption=uniform the size of its vocabulary, see
            `lift.objectives.uniform_noise`.
        pad_token_id: of the model.
        mask_rate: the mask rate at a diffusion time, each (B,) in [0, 1]: LIFT's schedule is the identity. The
            objectives know the rate only.
        block_size: of attention to blocks, each of which is then a sample in the place of a row; None without.
    """

    def __init__(
        self, options: LiftOptions, scorer: Scorer, *, mask_token_id: int, pad_token_id: int,
        mask_rate: Callable[[Tensor], Tensor] = lambda time: time, block_size: int | None = None,
    ) -> None:  # fmt: skip
        self.options, self.scorer, self.mask_rate, self.block_size = options, scorer, mask_rate, block_size
        self.mask_token_id, self.pad_token_id = mask_token_id, pad_token_id
        path = options.time_density
        self.density_points = None if path is None else read_time_density(path)
        self._density = None if self.density_points is None else TimeDensity(*self.density_points[:2])

    def draw(self, inputs: CollatedBatch, seed: int) -> Draws:
        """Draw time, over-mask rate and mode of each row, or of each block, on the host."""
        options, example_id = self.options, host_example_id(inputs)
        position = inputs.get("position", torch.arange(example_id.shape[0]))
        num_rows = inputs.get("num_step_rows", example_id.shape[0])
        blocks = self._blocks(inputs)
        if blocks is None:
            u = draw_time(
                options.timestep_distribution, seed, example_id, fixed_time=options.fixed_timestep, position=position,
                num_rows=num_rows,
            )  # fmt: skip
        else:
            u = draw_block_times(options, seed, example_id, blocks, position=position, num_rows=num_rows)
            example_id = blocks.ids(example_id)
        importance = None
        if self._density is not None:
            u, importance = self._density.draw(u, max_importance=options.max_importance)
        time = diffusion_time(u, epsilon=options.time_epsilon, time_range=options.time_range)
        timestep = self.mask_rate(time)
        if not METHODS[options.method].selects_tokens:
            return Draws(u, timestep, importance=importance)
        uniform_rho = draw_uniforms(seed, example_id)[1]
        lowest = self.mask_rate(u if options.time_range is None else time)
        rho = overmask_rate(lowest, uniform_rho, min_rho=options.min_rho, max_rho=options.max_rho)
        if options.mode_policy == "time":
            order = choose_order(timestep, options.method, scope=options.mode_scope)
        else:
            shared = inputs.get("micro_batch", 0) if options.mode_scope == "batch" else None
            order = draw_order(draw_mode_words(seed, example_id, micro_batch=shared), options.method)
        return Draws(u, timestep, rho, order, importance)

    def maskable(self, inputs: CollatedBatch, draws: Draws, seed: int) -> Tensor:
        """Return the `maskable` of the training batch, bool: what the loss may be divided by. It asks no model."""
        method = METHODS[self.options.method]
        if "rows" in inputs:
            return build_training_batch(inputs["rows"]).maskable
        if method.own_denominator and not method.reads_step:
            return build_training_batch(self.clean_rows(inputs, draws, seed)).maskable
        maskable = inputs["maskable"]
        if method.num_views > 1:
            return maskable_of_views(maskable)
        if not self.options.complementary:
            return maskable
        if draws.order is None:
            return maskable_of_views(maskable)
        blocks = self._blocks(inputs)
        if blocks is None:
            return maskable_of_views(maskable, draws.order.to(maskable.device))
        blocks = blocks.to(maskable.device)
        return blocks.unfold(maskable_of_views(blocks.fold(maskable, False), draws.order.to(maskable.device)))

    def clean_rows(self, inputs: CollatedBatch, draws: Draws, seed: int) -> MicroBatch:
        """Return the rows, or their blocks, as the method takes them, with no model to ask."""
        nobody = nn.Module()
        return self._rows(inputs, draws, seed, ScoringCall(self.scorer, nobody, nobody, inputs, draws))

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
        blocks, mask = inputs.get("blocks"), inputs.get("attention_mask")
        rows = MicroBatch(
            inputs["input_ids"],
            inputs["maskable"],
            inputs["example_id"],
            mask if blocks is None or mask is None or mask.dim() == 2 else None,
            draws.to(inputs["input_ids"].device),
            seed,
            self.options,
            self.mask_token_id,
            self.pad_token_id,
            score=call.log_prob,
            entropy=call.entropy,
            lengths=inputs.get("lengths"),
            is_masked=inputs.get("is_masked"),
        )
        folded = rows if blocks is None else rows.folded(blocks.to(rows.clean_ids.device))
        return folded.asking_about_noise()

    def evaluation_batch(self, inputs: CollatedBatch, u: Tensor, seed: int) -> DenoisingBatch:
        """Mask the rows for plain SFT at the times u (B,), before their floor: all blocks of a row at its time.

        Over all times, whatever `time_range`, so that runs can be compared.
        """
        rows, maskable, example_id = inputs["input_ids"], inputs["maskable"], inputs["example_id"]
        timestep = self.mask_rate(diffusion_time(u, epsilon=self.options.time_epsilon))
        blocks = self._blocks(inputs)
        if blocks is not None:
            blocks = blocks.to(rows.device)
            rows, maskable, example_id = blocks.fold(rows, 0), blocks.fold(maskable, False), blocks.ids(example_id)
            timestep = timestep[blocks.row]
        batch = sft_batch(rows, maskable, timestep, mask_token_id=self.mask_token_id, seed=seed, example_id=example_id)
        if self.options.corruption == "uniform":
            noise = UniformNoise(self.mask_token_id, seed, example_id)
            batch = batch._replace(input_ids=noise.fill(batch.input_ids))
        return batch if blocks is None else blocks.unfold_batch(batch)

    def _blocks(self, inputs: CollatedBatch) -> Blocks | None:
        """The blocks of the rows, which they keep: called when the rows have their width; None without blocks."""
        if self.block_size is None:
            return None
        if "blocks" not in inputs:
            num_rows, width = inputs["input_ids"].shape
            lengths = torch.tensor(inputs.get("lengths", (width,) * num_rows))
            if "position_ids" in inputs:
                inputs["blocks"] = Blocks.of_documents(inputs["position_ids"].cpu(), lengths, self.block_size)
            else:
                used = None if self.options.pad_in_loss else lengths
                origin = None
                if self.options.block_origin == "answer":
                    origin = inputs["maskable"].int().argmax(1).cpu()  # a row that trains nothing has no prompt
                inputs["blocks"] = Blocks.of_rows(num_rows, width, self.block_size, lengths=used, origin=origin)
        return inputs["blocks"]


def label_arguments(family: ModelFamily, options: LiftOptions) -> dict[str, Any]:
    """Return how the patched forward of a model that predicts the next token is to take labels; else nothing."""
    if not family.predicts_next:
        return {}
    if options.lift_ignores_shift and METHODS[options.method].selects_tokens:
        return {"predicts_next": False}
    return {"first_position": "zeros" if options.shift_first == "zeros" else "ignore"}

"""LIFT in dLLM's `MDLMTrainer` (github.com/ZHZisZZ/dllm, 0.1.0), with its configuration, schedule and collators.

It imports nothing of dLLM, which is not on a package index: mix it in yourself.

    @dataclass
    class Config(LiftOptions, dllm.core.trainers.MDLMConfig): ...

    class Trainer(LiftMDLMMixin, dllm.core.trainers.MDLMTrainer): ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from lift.errors import LiftError
from lift.integrations.labelled_rows import content_id
from lift.objectives import DenoisingBatch
from lift.objectives.forward_process import diffusion_time, evaluation_time, step_seed
from lift.objectives.options import LiftOptions
from lift.training.step import TrainingBatch
from lift.training.trainer import LiftTrainer


class _CleanBatches(Trainer):
    """Stands between `LiftTrainer` and `MDLMTrainer`: the batches of the one from those of the other."""

    _preprocess_inputs: Callable[[Any], Any]  # dLLM's: puts a BOS in front where logits are shifted

    def __init__(self, model: Any, args: Any, **kwargs: Any) -> None:
        super().__init__(model=model, args=args, **kwargs)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        batches, num_items = super().get_batch_samples(*args, **kwargs)
        return [self._clean(batch) for batch in batches], num_items

    def _clean(self, inputs: dict[str, Any]) -> dict[str, Any]:
        inputs = self._preprocess_inputs(inputs)
        maskable = inputs["labels"] != -100
        names = ("input_ids", "attention_mask", "example_id", "host_example_id")
        return {name: inputs[name] for name in names if inputs.get(name) is not None} | {"maskable": maskable}

    def _set_signature_columns_if_needed(self) -> None:
        # The Trainer would read them from the patched model's forward.
        self.__dict__["_signature_columns"] = ["input_ids", "attention_mask", "labels"]


class LiftMDLMMixin(LiftTrainer, _CleanBatches):
    """`LiftTrainer` for dLLM's configurations, collators and alpha schedulers; put it before `MDLMTrainer`.

    In force: dLLM's `time_epsilon`, `loss_weight_type` (by `_compute_loss_weights`, so Dream's cart too) and
    `loss_norm_type`, over the whole optimiser step. A row's mask rate, and LIFT's time, is 1 - alpha(t). A token may be
    masked where the collator's labels are not -100. Noise is a function of (seed, step, the row's tokens).

    Args:
        args: a `MDLMConfig` with `LiftOptions` before it among its bases.
        scheduler: dLLM's; by default linear.
        processing_class, tokenizer: the tokenizer, under either name.
        data_collator: dLLM's or any that gives input_ids and labels, not shifted.
        kwargs: the other arguments of `transformers.Trainer`.

    Raises:
        LiftError: the configuration lacks LIFT's fields, asks for what dLLM's weights cannot give, or shifts logits
            otherwise than the model's family does; or what `LiftTrainer` raises.
    """

    scheduler: Any
    meter: Any
    _compute_loss_weights: Callable[..., Tensor]

    def __init__(
        self, model: Any, args: Any, *, data_collator: Any, processing_class: Any = None, tokenizer: Any = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        if not issubclass(type(args), LiftOptions):
            raise LiftError(f"{type(args).__name__} lacks LIFT's fields: put LiftOptions first among its bases.")
        args.resolve_options()
        args.loss_normalizer = args.loss_norm_type
        if args.complementary or (args.one_forward and args.loss_weight_type not in ("scheduler", "uniform")):
            raise LiftError("complementary, and one_forward with weights for each token, cannot take dLLM's weights.")
        super().__init__(
            model, args, data_collator=_NamedRows(data_collator), processing_class=processing_class or tokenizer,
            **kwargs,
        )  # fmt: skip
        if args.right_shift_logits != self._family.predicts_next:
            raise LiftError(
                f"right_shift_logits={args.right_shift_logits} is not how lift_kernels knows {type(model).__name__}: "
                "change it, or the family with register_model_family."
            )
        self._batches.mask_rate = lambda time: 1 - self.scheduler(time)

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        inputs = self._clean(inputs)
        loss, _, _ = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        self.meter.update(split="eval", value=loss, weight=inputs["maskable"].sum())
        return loss, None, None

    def _count(self, prepared: TrainingBatch, outputs: Any) -> None:
        super()._count(prepared, outputs)
        loss = -prepared.batch.token_weight * outputs.token_stats.log_prob
        if prepared.lift is not None:
            loss = loss * outputs.learnability
        self.meter.update(split="train", value=loss.detach(), weight=prepared.maskable.to(loss.dtype))

    def _training_batch(self, model: nn.Module, inputs: dict[str, Any], seed: int | None = None) -> TrainingBatch:
        prepared = super()._training_batch(model, inputs, seed)
        if self.args.method in ("cart", "gift"):
            return prepared  # they have weights of their own
        if seed is None:
            seed = step_seed(self.args.seed, self.state.global_step)
        return prepared._replace(batch=self._weighted(prepared.batch, self._batches.uniform_time(inputs, seed)))

    def _evaluation_batch(self, inputs: dict[str, Any]) -> DenoisingBatch:
        uniform = evaluation_time(inputs["example_id"], self._num_eval_examples, grid=self.args.eval_grid)
        return self._weighted(super()._evaluation_batch(inputs), uniform)

    def _weighted(self, batch: DenoisingBatch, uniform_time: Tensor) -> DenoisingBatch:
        """With dLLM's weights at these times (B,), before their floor."""
        time = diffusion_time(uniform_time, epsilon=self.args.time_epsilon).to(batch.input_ids.device)
        weights = self._compute_loss_weights(
            t=time, inputs={"input_ids": batch.input_ids}, masked_mask=batch.labels != -100
        )
        return batch._replace(token_weight=weights.to(batch.token_weight.dtype))


class _NamedRows:
    """Another collator, whose batches also name their rows: on the host, where the tokens still are."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, rows: Any) -> dict[str, Any]:
        names = tuple(content_id(row["input_ids"]) for row in rows)
        batch = dict(self.collate(rows))
        is_trained = batch["labels"] != -100
        if not torch.equal(batch["input_ids"][is_trained], batch["labels"][is_trained]):
            raise LiftError("labels must be the row's own input_ids, or -100, not shifted and not corrupted.")
        return batch | {"example_id": torch.tensor(names), "host_example_id": names}

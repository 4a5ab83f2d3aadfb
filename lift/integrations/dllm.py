"""LIFT in dLLM's `MDLMTrainer` (github.com/ZHZisZZ/dllm, 0.1.0), with its configuration, schedule and collators.

It imports nothing of dLLM, which is not on a package index: mix it in yourself.

    @dataclass
    class Config(LiftOptions, dllm.core.trainers.MDLMConfig): ...

    class Trainer(LiftMDLMMixin, dllm.core.trainers.MDLMTrainer): ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from lift.data.collated_batch import CollatedBatch, Padding
from lift.data.row_columns import is_stream
from lift.errors import LiftError
from lift.integrations.labelled_rows import content_id
from lift.objectives import METHODS, DenoisingBatch, Draws, LiftOptions, TrainingBatch, diffusion_time
from lift.training import LiftTrainer

_COLUMNS = ("input_ids", "attention_mask", "labels")


class _KeywordArguments(Trainer):
    """Stands between `LiftTrainer` and `MDLMTrainer`, which takes its arguments by name."""

    def __init__(self, model: Any, args: Any, **kwargs: Any) -> None:
        super().__init__(model=model, args=args, **kwargs)

    def _set_signature_columns_if_needed(self) -> None:
        # The Trainer would read them from the patched model's forward.
        self.__dict__["_signature_columns"] = [*_COLUMNS]


class LiftMDLMMixin(LiftTrainer, _KeywordArguments):
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

    args: Any
    scheduler: Any
    meter: Any
    _preprocess_inputs: Callable[[Any], Any]  # dLLM's: puts a BOS in front where logits are shifted
    _compute_loss_weights: Callable[..., Tensor]

    def __init__(
        self, model: Any, args: Any, *, data_collator: Any, processing_class: Any = None, tokenizer: Any = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        if not issubclass(type(args), LiftOptions):
            raise LiftError(f"{type(args).__name__} lacks LIFT's fields: put LiftOptions first among its bases.")
        args.resolve_options()
        args.loss_normalizer = args.loss_norm_type
        if args.attention == "block":
            raise LiftError("dLLM's MDLMTrainer attends to whole rows: set attention=full, or take LiftTrainer.")
        args.attention = "full"
        if (
            args.complementary
            or METHODS[args.method].num_views > 1
            or (args.one_forward and args.loss_weight_type not in ("scheduler", "uniform"))
        ):
            raise LiftError(
                "complementary masks, mirror, and one_forward with weights for each token, cannot take dLLM's weights."
            )
        named = _NamedRows(data_collator)
        super().__init__(
            model, args, data_collator=named, processing_class=processing_class or tokenizer,
            **kwargs,
        )  # fmt: skip
        rows: Any = self.train_dataset
        if not is_stream(rows) and len(rows) > 0:
            # Every process looks at the same row, as all must know the same.
            row = {name: rows[0][name] for name in rows[0] if name in _COLUMNS or not args.remove_unused_columns}
            named.padding = _padding_of(data_collator, row)
        if args.right_shift_logits != self._family.predicts_next:
            raise LiftError(
                f"right_shift_logits={args.right_shift_logits} is not how lift_kernels knows {type(model).__name__}: "
                "change it, or the family with register_model_family."
            )

    def clean_inputs(self, inputs: Any) -> CollatedBatch:
        """Return dLLM's batch as ours: a token may be masked where its label is not -100."""
        width = inputs["input_ids"].shape[1]
        inputs = self._preprocess_inputs(inputs)
        batch: CollatedBatch = {
            "input_ids": inputs["input_ids"],
            "maskable": inputs["labels"] != -100,
            "example_id": inputs["example_id"],
            "host_example_id": inputs["host_example_id"],
        }
        num_added = inputs["input_ids"].shape[1] - width
        if "lengths" in inputs:
            batch["lengths"] = tuple(length + num_added for length in inputs["lengths"])
        if "padding" in inputs:
            batch["padding"] = inputs["padding"]
        if inputs.get("attention_mask") is not None:
            batch["attention_mask"] = inputs["attention_mask"]
        return batch

    def mask_rate(self, time: Tensor) -> Tensor:
        """Return 1 - alpha(t) of dLLM's scheduler."""
        rate: Tensor = 1 - self.scheduler(time)
        return rate

    def prepare_training_batch(
        self, model: nn.Module, inputs: CollatedBatch, draws: Draws, seed: int, *, is_evaluation: bool = False
    ) -> TrainingBatch:
        """Return the method's batch with dLLM's weights, but where the method has weights of its own."""
        prepared = super().prepare_training_batch(model, inputs, draws, seed, is_evaluation=is_evaluation)
        if METHODS[self.args.method].own_weights:
            return prepared
        batch = self._weighted(prepared.batch, draws.u)
        row_weight = None if prepared.row_weight is None else batch.token_weight[:, 0]  # alike within a row
        return prepared._replace(batch=batch, row_weight=row_weight).weighted_by_importance()

    def prepare_evaluation_batch(self, inputs: CollatedBatch, u: Tensor) -> DenoisingBatch:
        """Return the SFT forward with dLLM's weights."""
        return self._weighted(super().prepare_evaluation_batch(inputs, u), u)

    def log_micro_batch(self, prepared: TrainingBatch, outputs: Any) -> None:
        """Take note of the micro-batch, in dLLM's meter too."""
        super().log_micro_batch(prepared, outputs)
        loss = -prepared.batch.token_weight * outputs.token_stats.log_prob
        if prepared.one_forward is not None:
            loss = loss * outputs.learnability
        self.meter.update(split="train", value=loss.detach(), weight=prepared.maskable.to(loss.dtype))

    def log_evaluation(self, inputs: CollatedBatch, loss: Tensor) -> None:
        """Take note of the loss in dLLM's meter."""
        self.meter.update(split="eval", value=loss, weight=inputs["maskable"].sum())

    def _weighted(self, batch: DenoisingBatch, u: Tensor) -> DenoisingBatch:
        """Return `batch` with dLLM's weights at the times u (B,), before their floor."""
        time = diffusion_time(u, epsilon=self.args.time_epsilon, time_range=self.args.time_range).to(
            batch.input_ids.device
        )
        weights = self._compute_loss_weights(
            t=time, inputs={"input_ids": batch.input_ids}, masked_mask=batch.labels != -100
        )
        return batch._replace(token_weight=weights.to(batch.token_weight.dtype))


class _NamedRows:
    """Another collator, whose batches also name their rows and say how long these are: on the host, with the tokens.

    Args:
        collate: the collator.
        padding: how it pads, where that matters to what other rows train.
    """

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate
        self.padding: Padding | None = None

    def __call__(self, rows: Any) -> dict[str, Any]:
        names = tuple(content_id(row["input_ids"]) for row in rows)
        batch = dict(self.collate(rows))
        is_trained = batch["labels"] != -100
        if not torch.equal(batch["input_ids"][is_trained], batch["labels"][is_trained]):
            raise LiftError("labels must be the row's own input_ids, or -100, not shifted and not corrupted.")
        batch |= {"example_id": torch.tensor(names), "host_example_id": names}
        if all(map(_starts_with, batch["input_ids"], rows)):
            batch["lengths"] = tuple(len(row["input_ids"]) for row in rows)
        if self.padding is not None:
            batch["padding"] = self.padding
        return batch


def _padding_of(collate: Callable[[Any], Any], row: Mapping[str, Any]) -> Padding | None:
    """How a collator pads on the right to the longest row: seen on a row beside a longer copy of itself.

    None if it pads otherwise, or neither trains nor attends to padding, whose number then changes nothing.
    """
    length = len(row["input_ids"])
    num_more = 1 + length % 2  # to an odd number, so that a multiple shows
    longer = {
        name: [*cells, *[cells[-1]] * num_more] if isinstance(cells, list) else cells for name, cells in row.items()
    }
    seen = collate([dict(row), longer])
    if seen["input_ids"].shape[1] != length + num_more or not _starts_with(seen["input_ids"][0], row):
        return None
    mask = seen.get("attention_mask")
    padding = Padding(
        int(seen["input_ids"][0, length]), is_maskable=bool(seen["labels"][0, length] != -100),
        attention=1 if mask is None else int(mask[0, length]),
    )  # fmt: skip
    return padding if padding.is_maskable or padding.attention else None


def _starts_with(input_ids: Tensor, row: Mapping[str, Any]) -> bool:
    return input_ids[: len(row["input_ids"])].tolist() == list(row["input_ids"])

"""LIFT in dLLM's trainers (github.com/ZHZisZZ/dllm, 0.1.0), with their configuration, schedule and collators.

It imports nothing of dLLM, which is not on a package index: mix it in yourself.

    @dataclass
    class Config(LiftOptions, dllm.core.trainers.MDLMConfig): ...

    class Trainer(LiftMDLMMixin, dllm.core.trainers.MDLMTrainer): ...

`LiftBD3LMMixin` does the same before `BD3LMTrainer`, with a `BD3LMConfig`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import Trainer

from lift.data.collated_batch import CollatedBatch
from lift.data.row_columns import is_stream
from lift.errors import LiftError
from lift.integrations.named_rows import NamedRows, padding_of
from lift.objectives import METHODS, DenoisingBatch, Draws, LiftOptions, TrainingBatch, diffusion_time
from lift.objectives.blocks import ROW_ID_BITS, Blocks
from lift.training import LiftTrainer
from lift.training.block_mode import size_of_block

_COLUMNS = ("input_ids", "attention_mask", "labels")
_BLOCK_SIZE = 32  # of dLLM's BD3LMConfig


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

    With `attention="block"`, the default of families that generate text block by block, all of this is each block's.
    What completes a row's last block is the collator's choice, as with dLLM's own `AppendEOSBlockWrapper`.

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
        if args.block_padding != "pad":
            raise LiftError("dLLM's collator completes blocks, by AppendEOSBlockWrapper: leave block_padding out.")
        if (
            args.complementary
            or METHODS[args.method].num_views > 1
            or (args.one_forward and args.loss_weight_type not in ("scheduler", "uniform"))
        ):
            raise LiftError(
                "complementary masks, mirror, and one_forward with weights for each token, cannot take dLLM's weights."
            )
        if args.loss_positions == "all" and args.loss_weight_type != "uniform":
            raise LiftError(
                f"loss_positions=all weighs all tokens alike, and loss_weight_type={args.loss_weight_type} does not: "
                "set loss_weight_type=uniform."
            )
        named = NamedRows(data_collator)
        super().__init__(
            model, args, data_collator=named, processing_class=processing_class or tokenizer,
            **kwargs,
        )  # fmt: skip
        if args.attention == "block":
            args.pad_in_loss = False  # unless the collator is seen to train it: times are spread over what is trained
            if args.loss_weight_type not in ("scheduler", "uniform"):
                raise LiftError(
                    f"loss_weight_type={args.loss_weight_type} weighs a token by its whole row: set attention=full, or "
                    "loss_weight_type=scheduler."
                )
            named.id_bits = ROW_ID_BITS
        rows: Any = self.train_dataset
        if not is_stream(rows) and len(rows) > 0:
            # Every process looks at the same row, as all must know the same.
            row = {name: rows[0][name] for name in rows[0] if name in _COLUMNS or not args.remove_unused_columns}
            named.padding = padding_of(data_collator, row, args.block_size or 1)
            if args.attention == "block":
                args.pad_in_loss = named.padding is not None and named.padding.is_maskable
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
        time = diffusion_time(draws.u, epsilon=self.args.time_epsilon, time_range=self.args.time_range)
        batch = self._weighted(prepared.batch, time, prepared.blocks, draws.importance)
        weight = batch.token_weight if prepared.blocks is None else prepared.blocks.fold(batch.token_weight, 0)
        row_weight = None if prepared.row_weight is None else weight[:, 0]  # alike within a row, or a block
        return prepared._replace(batch=batch, row_weight=row_weight)

    def prepare_evaluation_batch(self, inputs: CollatedBatch, u: Tensor) -> DenoisingBatch:
        """Return the SFT forward with dLLM's weights: over all times, whatever `time_range`, as its masks are."""
        time = diffusion_time(u, epsilon=self.args.time_epsilon)
        return self._weighted(super().prepare_evaluation_batch(inputs, u), time)

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

    def _weighted(
        self, batch: DenoisingBatch, time: Tensor, blocks: Blocks | None = None, importance: Tensor | None = None
    ) -> DenoisingBatch:
        """Return `batch` with dLLM's weights at diffusion times, times their importance.

        Times and importance are those of its rows, (B,), or of its blocks, (U,).
        """
        device, ids, labels = batch.input_ids.device, batch.input_ids, batch.labels
        if blocks is not None:
            ids, labels = blocks.fold(ids, 0), blocks.fold(labels, -100)
        weights = self._compute_loss_weights(t=time.to(device), inputs={"input_ids": ids}, masked_mask=labels != -100)
        if importance is not None:
            weights = weights * importance.to(device)[:, None]
        if blocks is not None:
            weights = blocks.unfold(weights)
        return batch._replace(token_weight=weights.to(batch.token_weight.dtype))


class LiftBD3LMMixin(LiftMDLMMixin):
    """`LiftMDLMMixin` for dLLM's trainer of block diffusion; put it before `BD3LMTrainer`.

    It trains in blocks unless told otherwise, of the family's size, else of dLLM's 32 tokens. The mask of dLLM drops
    the batch's attention mask; here padding that has one is hidden. dLLM draws one time for all blocks of a row, which
    is `time_scope="row"`.

    Args, Raises: see `LiftMDLMMixin`; the configuration is a `BD3LMConfig` with `LiftOptions` before it.
    """

    def __init__(self, model: Any, args: Any, **kwargs: Any) -> None:
        if issubclass(type(args), LiftOptions):
            if args.attention == "full":
                raise LiftError("dLLM's BD3LMTrainer trains in blocks: leave attention out, or take its MDLMTrainer.")
            args.attention = "block"
            own_size = size_of_block(model) if isinstance(model, nn.Module) else None
            args.block_size = args.block_size or own_size or _BLOCK_SIZE
        super().__init__(model, args, **kwargs)

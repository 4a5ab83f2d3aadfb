"""LIFT as a `compute_loss_func`, for a trainer that can be neither replaced nor subclassed.

Such a trainer takes the labels out of the batch, calls the model, and hands its output to the function. So both passes
run inside the model's own forward, where wrappers (DistributedDataParallel and the like) see them, and the function
divides their sum.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, TrainerCallback

from lift.data import resolve_pad_token_id
from lift.data.special_tokens import check_padding_is_no_mask
from lift.errors import LiftError
from lift.integrations.labelled_rows import ID_BITS, LabelledRowsCollator
from lift.models.attention import attention_arguments
from lift.models.block_attention import in_blocks
from lift.models.training_record import record_blocks
from lift.objectives import METHODS, LiftOptions, step_seed
from lift.objectives.blocks import ROW_ID_BITS
from lift.training.batch_builder import BatchBuilder, label_arguments
from lift.training.block_mode import collator_options, resolve_attention
from lift.training.checks import check_one_gpu
from lift.training.noise_token import noise_token_id, record_noise_token
from lift.training.scorer import Scorer
from lift.training.unsupported import check_supported
from lift_kernels import apply_lift_kernels
from lift_kernels.models import Uncast, find_model_family, replace_forward, unwrap_model, vocab_size_of

logger = logging.getLogger(__name__)

_OWNER = "LiftLoss"
_EVALUATION_STEP = -1
# A micro-batch alone does not tell what these need: the whole step, the data set, or a forward of another kind.
_SUPPORTED = {
    "loss_normalizer": ("token",),
    "timestep_distribution": ("uniform", "discrete", "fixed"),
    "mode_scope": ("row",),
    "score_source": ("model",),
    "complementary": (False,),
    "exclude_mask_token": (False,),
    "shift_first": ("exclude",),
    "lift_ignores_shift": (False,),
}


class LiftLoss(TrainerCallback):
    """Loss function, callback and collator in one, for `transformers.Trainer` and what derives from it.

    Pass it twice, and its collator, on rows of `input_ids` and `labels` (not shifted, -100 where nothing is masked):

        loss = LiftLoss(model, tokenizer, LiftOptions(method="lift3"))
        Trainer(model, ..., compute_loss_func=loss, callbacks=[loss], data_collator=loss.collator)

    The loss is that of `LiftTrainer` with loss_normalizer=token, however a step is split: it is divided by the tokens
    that may be masked in the whole of it, `num_items_in_batch`. But a collator sees one micro-batch: how much padding
    is trained, as it is by default, depends on the split unless `max_length` gives all rows one width, and so does what
    `gift` compares a token with. With attention=block, or a family that generates text block by block, a row's clean
    tokens stand beside its noisy ones, as in `LiftTrainer`. Evaluation takes the same loss on masks that never change,
    batch by batch. `trl.SFTTrainer` adds a forward for metrics that mean nothing here, which `lift.integrations.trl`
    does without.

    Args:
        model: as for `LiftTrainer`, patched in place.
        tokenizer: gives mask and pad ids.
        options: `LiftOptions`; by default the published recipe's.
        max_length: pad every batch to this many tokens; by default to its longest row.

    Raises:
        LiftError: an option that needs more than a micro-batch; or what `LiftTrainer` raises.
    """

    def __init__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, options: LiftOptions | None = None, *,
        max_length: int | None = None,
    ) -> None:  # fmt: skip
        self.options = LiftOptions() if options is None else options
        self.options.resolve_options()
        _check_supported(self.options)
        try:
            apply_lift_kernels(model)
        except ValueError as error:
            raise LiftError(str(error)) from None
        inner = unwrap_model(model)
        head = inner.get_output_embeddings()
        known: dict[str, Any] = {"config": inner.config, "vocab_size": vocab_size_of(head)}
        mask_token_id = noise_token_id(self.options, tokenizer, **known)
        record_noise_token(self.options, model, mask_token_id)
        pad_token_id = resolve_pad_token_id(tokenizer, **known, mask_token_id=mask_token_id)
        self._family = find_model_family(inner)
        resolve_attention(self.options, model, self._family)
        record_blocks(model, self.options.block_size, origin=self.options.block_origin)
        if self.options.pad_in_loss or self._family.attention_mask == "ignored":
            check_padding_is_no_mask(pad_token_id, mask_token_id)
        self.collator = LabelledRowsCollator(
            pad_token_id, pad_in_loss=self.options.pad_in_loss, keep_labels=True, max_length=max_length,
            predicts_next=self._family.predicts_next,
            id_bits=ID_BITS if self.options.block_size is None else ROW_ID_BITS,
            **collator_options(self.options, tokenizer),
        )  # fmt: skip
        scorer = Scorer(self.options, self._family, label_arguments(self._family, self.options), head.weight.dtype)
        self._batches = BatchBuilder(
            self.options, scorer, mask_token_id=mask_token_id, pad_token_id=pad_token_id,
            block_size=self.options.block_size,
        )  # fmt: skip
        self._seed: int | None = None
        self._global_step = 0
        replace_forward(inner, _OWNER, self._forward)

    def __call__(self, outputs: Any, labels: Tensor | None, num_items_in_batch: Any = None) -> Tensor:
        """The loss of a micro-batch: its weighted sum, by now in `outputs`, over `num_items_in_batch`."""
        if labels is None or outputs.get("loss") is None:
            raise LiftError("the batch is not LiftLoss's: pass data_collator=loss.collator to the trainer.")
        total: Tensor = outputs["loss"]
        if self.options.loss_denominator is not None:
            return total / self.options.loss_denominator
        num_tokens = (labels != -100).sum() if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(num_tokens).clamp(min=1)

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        check_one_gpu(args)
        check_supported(args)
        self._seed = args.seed
        is_split = args.gradient_accumulation_steps * args.world_size > 1
        if is_split and self.options.pad_in_loss and self.collator.max_length is None:
            logger.warning(
                "padding is trained, and each micro-batch is padded to its own longest row, so a step depends on how "
                "it is split: give LiftLoss max_length, or set pad_in_loss=False."
            )

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._global_step = state.global_step

    def _forward(
        self, model: Any, fused_forward: Callable[..., Any], *args: Any, maskable: Tensor | None = None, **kwargs: Any
    ) -> Any:
        if maskable is None:
            return fused_forward(*args, **kwargs)
        kwargs.pop("num_items_in_batch", None)
        inputs = {name: kwargs.pop(name, None) for name in ("input_ids", "example_id", "host_example_id", "lengths")}
        kwargs.pop("padding", None)
        return self._denoise(model, fused_forward, inputs | {"maskable": maskable}, kwargs)

    def _denoise(self, model: Any, forward: Callable[..., Any], inputs: dict[str, Any], others: dict[str, Any]) -> Any:
        """Run both passes; the loss is the sum that the step's is made of."""
        if self._seed is None:
            raise LiftError("LiftLoss does not know the trainer's seed and step: pass callbacks=[loss] to the trainer.")
        given: Any = inputs | {name: others.pop(name, None) for name in ("attention_mask", "position_ids")}
        given = {name: value for name, value in given.items() if value is not None}
        if self.options.attention == "block" and self.options.pad_in_loss:
            given.pop("attention_mask", None)  # all ones: then one mask of pairs of tokens does for all rows
        seed = step_seed(self._seed, self._global_step if model.training else _EVALUATION_STEP)
        draws = self._batches.draw(given, seed)
        prepared = self._batches.build(given, draws, seed, model, forward=forward)
        arguments: dict[str, Any] = prepared.batch._asdict() | {"denominator": 1.0}
        if prepared.one_forward is None:
            arguments["token_weight"] = Uncast(prepared.batch.token_weight)
        else:
            del arguments["token_weight"]  # formed inside the loss
            arguments["lift"] = Uncast(prepared.one_forward)
        if "blocks" in given:
            forward = in_blocks(self._family, forward, given["input_ids"])
        views = prepared.batch.input_ids.shape[0] // inputs["input_ids"].shape[0]
        attention = attention_arguments(self._family, model, given, views=views)
        return forward(**arguments, **attention, **others | {"return_dict": True})


def _check_supported(options: LiftOptions) -> None:
    if METHODS[options.method].keeps_pool:
        raise LiftError(
            f"method={options.method} keeps rows from step to step, which only a trainer can: take LiftTrainer."
        )
    if METHODS[options.method].own_denominator and options.loss_denominator is None:
        raise LiftError(
            f"method={options.method} divides by what it counts itself, which a compute_loss_func cannot: give "
            "loss_denominator, or take LiftTrainer."
        )
    if METHODS[options.method].adds_entropy:
        raise LiftError(f"method={options.method} adds a mean to the loss, which LiftLoss divides: take LiftTrainer.")
    if METHODS[options.method].num_views > 1:
        raise LiftError(
            f"LiftLoss counts each token once, and method={options.method} has two views: take LiftTrainer."
        )
    for name, supported in _SUPPORTED.items():
        value = getattr(options, name)
        if value not in supported:
            wanted = " or ".join(map(str, supported))
            raise LiftError(f"LiftLoss sees one micro-batch at a time: {name} must be {wanted}, got {value}.")

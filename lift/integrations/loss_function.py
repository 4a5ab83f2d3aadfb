"""LIFT as a `compute_loss_func`, for a trainer that can be neither replaced nor subclassed.

Such a trainer takes the labels out of the batch, calls the model, and hands its output to the function. So both passes
run inside the model's own forward, where wrappers (DistributedDataParallel and the like) see them, and the function
divides their sum.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, TrainerCallback

from lift.data import resolve_mask_token_id, resolve_pad_token_id
from lift.errors import LiftError
from lift.integrations.labelled_rows import LabelledRowsCollator
from lift.learnability.scoring import score_rows
from lift.models.attention import attention_arguments
from lift.models.evaluation_mode import evaluation_mode
from lift.objectives.forward_process import step_seed
from lift.objectives.options import LiftOptions
from lift.training.step import TrainingBatches
from lift_kernels import TokenStats, apply_lift_kernels
from lift_kernels.models import find_model_family, replace_forward, unwrap_model, vocab_size_of

_OWNER = "LiftLoss"
_EVALUATION_STEP = -1
# A micro-batch alone does not tell what these need: the whole step, the data set, or a forward of another kind.
_SUPPORTED = {
    "loss_normalizer": ("token",),
    "timestep_distribution": ("uniform", "discrete", "fixed"),
    "mode_scope": ("row",),
    "score_source": ("model",),
    "complementary": (False,),
    "shift_first": ("exclude",),
    "lift_ignores_shift": (False,),
}


class LiftLoss(TrainerCallback):
    """Loss function, callback and collator in one, for `transformers.Trainer` and what derives from it.

    Pass it twice, and its collator, on rows of `input_ids` and `labels` (not shifted, -100 where nothing is masked):

        loss = LiftLoss(model, tokenizer, LiftOptions(method="lift3"))
        Trainer(model, ..., compute_loss_func=loss, callbacks=[loss], data_collator=loss.collator)

    The loss is that of `LiftTrainer` with loss_normalizer=token, however a step is split: it is divided by the tokens
    that may be masked in the whole of it, `num_items_in_batch`. Evaluation takes the same loss on masks that never
    change, batch by batch. `trl.SFTTrainer` adds a forward for metrics that mean nothing here, which
    `lift.integrations.trl` does without.

    Args:
        model: as for `LiftTrainer`, patched in place.
        tokenizer: gives mask and pad ids.
        options: `LiftOptions`; by default the published recipe's.

    Raises:
        LiftError: an option that needs more than a micro-batch; or what `LiftTrainer` raises.
    """

    def __init__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, options: LiftOptions | None = None
    ) -> None:
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
        mask_token_id = resolve_mask_token_id(tokenizer, self.options.mask_token_id, **known)
        pad_token_id = resolve_pad_token_id(tokenizer, **known)
        self.collator = LabelledRowsCollator(
            pad_token_id, pad_in_loss=self.options.pad_in_loss, keep_labels=True,
            predicts_next=find_model_family(inner).predicts_next,
        )  # fmt: skip
        self._batches = TrainingBatches(
            self.options, mask_token_id=mask_token_id, pad_token_id=pad_token_id, logits_dtype=head.weight.dtype
        )
        self._seed: int | None = None
        self._step = 0
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
        if args.n_gpu > 1:
            raise LiftError(
                f"{args.n_gpu} GPUs are visible to one process, which DataParallel would share: start one process "
                f"per GPU with torchrun --nproc_per_node {args.n_gpu}, or set CUDA_VISIBLE_DEVICES=0."
            )
        self._seed = args.seed

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._step = state.global_step

    def _forward(
        self, model: Any, fused_forward: Callable[..., Any], *args: Any, maskable: Tensor | None = None, **kwargs: Any
    ) -> Any:
        if maskable is None:
            return fused_forward(*args, **kwargs)
        kwargs.pop("num_items_in_batch", None)
        inputs = {name: kwargs.pop(name, None) for name in ("input_ids", "example_id", "host_example_id")}
        return self._denoise(model, fused_forward, inputs | {"maskable": maskable}, kwargs)

    def _denoise(self, model: Any, forward: Callable[..., Any], inputs: dict[str, Any], others: dict[str, Any]) -> Any:
        """Both passes; the loss is the sum that the step's is made of."""
        if self._seed is None:
            raise LiftError("LiftLoss does not know the trainer's seed and step: pass callbacks=[loss] to the trainer.")
        family = find_model_family(model)
        given = {name: others.pop(name, None) for name in ("attention_mask", "position_ids")} | inputs

        def statistics(corrupted_ids: Tensor, labels: Tensor, rows: Tensor) -> TokenStats:
            with nullcontext() if self.options.score_train_mode else evaluation_mode(model):
                attention = attention_arguments(family, model.config, given, rows=rows)
                return score_rows(forward, corrupted_ids, labels, rows, **attention)

        seed = step_seed(self._seed, self._step if model.training else _EVALUATION_STEP)
        prepared = self._batches.build(inputs, seed, statistics)
        arguments: dict[str, Any] = prepared.batch._asdict() | {"denominator": 1.0}
        if prepared.lift is not None:
            del arguments["token_weight"]  # formed inside the loss
        views = prepared.batch.input_ids.shape[0] // inputs["input_ids"].shape[0]
        attention = attention_arguments(family, model.config, given, views=views)
        return forward(**arguments, lift=prepared.lift, **attention, **others)


def _check_supported(options: LiftOptions) -> None:
    if options.method == "gift" and options.loss_denominator is None:
        raise LiftError("method=gift divides by the tokens that it draws, which a compute_loss_func cannot count.")
    for name, supported in _SUPPORTED.items():
        value = getattr(options, name)
        if value not in supported:
            wanted = " or ".join(map(str, supported))
            raise LiftError(f"LiftLoss sees one micro-batch at a time: {name} must be {wanted}, got {value}.")

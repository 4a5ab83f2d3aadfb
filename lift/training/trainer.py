"""`LiftTrainer`: transformers' Trainer with LIFT's forward process and loss."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.trainer_callback import ProgressCallback

from lift.data.collated_batch import CollatedBatch
from lift.data.collator import MaskedDiffusionCollator
from lift.data.special_tokens import check_padding_is_no_mask, resolve_pad_token_id
from lift.errors import LiftError
from lift.models.attention import attention_arguments
from lift.models.block_attention import in_blocks
from lift.models.gradient_checkpointing import enable_gradient_checkpointing
from lift.models.training_record import record_blocks
from lift.models.transformers_versions import keep_tensorboard_in_output_dir
from lift.objectives import DenoisingBatch, Draws, StepCounts, TrainingBatch, normalise, step_seed
from lift.training.batch_builder import BatchBuilder, label_arguments
from lift.training.batch_options import BatchOptions
from lift.training.best_metric import check_best_metric
from lift.training.block_mode import collator_options, resolve_attention
from lift.training.checks import check_arguments, check_config, check_pad_tokens, check_token_ids, check_vocabulary
from lift.training.common_width import pad_to_longest
from lift.training.config import LiftConfig
from lift.training.data_checks import check_batch, check_columns, check_responses, data_sets
from lift.training.evaluation import Evaluation
from lift.training.finite_loss import FiniteLoss
from lift.training.loop import TrainingLoop
from lift.training.new_model import model_to_start_with
from lift.training.noise_token import noise_token_id, record_noise_token
from lift.training.packing import packed_as_asked
from lift.training.place_in_step import place_in_step
from lift.training.pool_of_run import check_pool, mask_batches, open_pool
from lift.training.progress import Speed, TrainingProgress
from lift.training.row_lengths import check_rows_fit
from lift.training.score_source import score_source_for
from lift.training.scorer import Scorer
from lift.training.statistics import StepStatistics
from lift.training.token_bands import token_bands
from lift.training.token_figures import TokenFigures
from lift.training.token_grid import TokenGrid
from lift.training.warnings import warnings_for
from lift_kernels import apply_lift_kernels
from lift_kernels.models import OneForward, Uncast, find_model_family, unwrap_model, vocab_size_of

logger = logging.getLogger(__name__)

_EVALUATION_STEP = -1  # stands for the optimiser step in the seed of evaluation masks, which never change


class LiftTrainer(TrainingLoop):
    """Fine-tune a masked language model with one of `lift.METHODS`, without ever building logits.

    The model is patched in place by `lift_kernels.apply_lift_kernels`. Masks, times and random subsets are pure
    functions of (args.seed, optimiser step, example_id), so a resumed run is the same run. (The masks of `puma` follow
    from the steps before, too: its checkpoints hold its pool of rows.) The evaluation loss is the plain SFT loss at
    fixed times (i + 1/2) / n with fixed masks: two evaluations of one model agree to the bit.

    A subclass that brings its own rows, weights or meters overrides these, each of which says what it is for:
    `make_collator`, `clean_inputs`, `mask_rate`, `prepare_training_batch`, `prepare_evaluation_batch`,
    `log_micro_batch`, `log_evaluation`.

    Args:
        model: any that `lift_kernels.apply_lift_kernels` knows; whole, or wrapped by PEFT, whose adapter alone is then
            trained and saved. `model_init` in its place makes one anew for each training.
        args: `LiftConfig`.
        train_dataset, eval_dataset: from `prepare_dataset`, columns input_ids, prompt_length, example_id.
        processing_class: the tokenizer; gives mask and pad ids and is saved with the checkpoints.
        kwargs: the other arguments of `transformers.Trainer`.

    Raises:
        LiftError: no mask token, a mask id outside the vocabulary, padding with the mask token, or a tokenizer larger
            than the model's head; data that is no rows of `prepare_dataset`, rows longer than the model's positions, or
            rows that differ and share an example_id; or an argument that would have no effect, such as compute_metrics.

    Source: LIFT (arXiv 2605.22939).
    """

    def __init__(
        self, model: PreTrainedModel | None = None, args: LiftConfig | Any = None, *, processing_class: Any = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        model_init = kwargs.pop("model_init", None)
        check_config(args)
        model = model_to_start_with(model, model_init, args, kwargs)
        check_arguments(model, args, processing_class, kwargs)
        _patch(model)
        self._family = find_model_family(unwrap_model(model))
        head = model.get_output_embeddings()
        vocab_size = vocab_size_of(head)
        check_vocabulary(processing_class, vocab_size)
        check_pad_tokens(getattr(args, "pad_tokens", None), vocab_size)
        self._is_attention_given = args.attention is not None
        resolve_attention(args, model, self._family)
        for sentence in warnings_for(model, self._family, args):
            logger.warning(sentence)
        known: dict[str, Any] = {"config": model.config, "vocab_size": vocab_size}
        self.mask_token_id = noise_token_id(args, processing_class, **known)
        self._patch_options = {"exclude_index": self.mask_token_id} if args.exclude_mask_token else {}
        if self._patch_options:
            _patch(model, **self._patch_options)
        record_noise_token(args, model, self.mask_token_id)
        record_blocks(model, args.block_size, origin=args.block_origin)
        pad_token_id = resolve_pad_token_id(processing_class, **known, mask_token_id=self.mask_token_id)
        if kwargs.get("data_collator") is None:
            kwargs["data_collator"] = self.make_collator(
                args, pad_token_id, pad_in_loss=args.pad_in_loss,
                predicts_next=(self._family.predicts_next and args.shift_first == "exclude")
                or getattr(args, "keep_first", False),
                **collator_options(args, processing_class),
            )  # fmt: skip
        if type(kwargs["data_collator"]) is MaskedDiffusionCollator:
            for name, rows in data_sets(kwargs.get("train_dataset"), kwargs.get("eval_dataset")):
                check_columns(name, rows)
                check_responses(name, rows)
        if args.pad_in_loss or self._family.attention_mask == "ignored":
            collator = kwargs["data_collator"]
            for pad_id in (getattr(collator, "pad_token_id", pad_token_id), *getattr(collator, "more_pad_ids", ())):
                check_padding_is_no_mask(pad_id, self.mask_token_id)
        kwargs["train_dataset"] = packed_as_asked(kwargs.get("train_dataset"), args, model.config)
        check_rows_fit(model, args, kwargs["train_dataset"], kwargs.get("eval_dataset"))
        super().__init__(model, args, processing_class=processing_class, **kwargs)
        self.model_init = model_init
        check_pool(self.args, self.train_dataset)
        self._check_example_ids()
        self._checkpoint_gradients(self.model)
        # The Trainer then divides each micro-batch's loss by the number of accumulation steps (`_normalised`).
        self.model_accepts_loss_kwargs = False
        self._evaluation = Evaluation([], self.args)
        self._speed = Speed()
        self._statistics = StepStatistics(self.args.device)
        if getattr(args, "log_tokens", "modes") != "modes" and self.train_dataset is not None:  # others lack the field
            trained_pad = pad_token_id if args.pad_in_loss else None
            bands = token_bands(self.train_dataset, vocab_size, pad_token_id=trained_pad)
            self._token_grid = TokenGrid(bands, self.args.device)
            if bands is not None and args.log_tokens == "figures":
                self.add_callback(TokenFigures(self))
        self._finite_loss = FiniteLoss(self.args.device, Path(str(self.args.output_dir)))
        self._scorer = Scorer(
            self.args, self._family, label_arguments(self._family, self.args), head.weight.dtype,
            self.args.world_size,
        )  # fmt: skip
        self._batches = BatchBuilder(
            self.args, self._scorer, mask_token_id=self.mask_token_id, pad_token_id=pad_token_id,
            mask_rate=self.mask_rate, block_size=args.block_size,
        )  # fmt: skip
        if self.train_dataset is not None:
            self._scorer.source = score_source_for(self, vocab_size, pad_token_id)
        self._counts: StepCounts | None = None
        keep_tensorboard_in_output_dir(self.args, self.callback_handler.callbacks)
        if not self.args.disable_tqdm:
            self.remove_callback(ProgressCallback)
            self.add_callback(TrainingProgress())
        check_best_metric(self)

    def call_model_init(self, trial: Any = None) -> Any:
        """Return a new model of `model_init`, as ready for training as the first was."""
        model: Any = super().call_model_init(trial)
        _patch(model, **self._patch_options)
        record_noise_token(self.args, model, self.mask_token_id)
        record_blocks(model, self.args.block_size, origin=self.args.block_origin)
        self._checkpoint_gradients(model)
        if self._scorer.source is not None:
            vocab_size = vocab_size_of(model.get_output_embeddings())
            self._scorer.source = score_source_for(self, vocab_size, self._batches.pad_token_id)
        return model

    def _checkpoint_gradients(self, model: nn.Module) -> None:
        if self.args.gradient_checkpointing:
            options: Any = self.args.gradient_checkpointing_kwargs
            enable_gradient_checkpointing(model, options)

    # One optimiser step.

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], None]:
        """Return the micro-batches of one step, with places, width and draws; count what the loss is divided by."""
        batches, _ = super().get_batch_samples(*args, **kwargs)
        if batches and self._keeps_pool:
            batches = self._rows_of_pool()
        batches = [self.clean_inputs(batch) for batch in batches]
        self._scorer.learn()
        if batches:
            place_in_step(
                batches, self.accelerator.gradient_state, process=self.args.process_index,
                num_processes=self.args.world_size,
            )  # fmt: skip
            pad_to_longest(batches, self._max_over_processes)
            for batch in batches:
                batch["draws"] = self._batches.draw(batch, self._seed())
            if self._pool is not None:
                mask_batches(self._pool, batches, self._batches, self._seed())
            if self._batches.reads_step:
                self.model_wrapped.train()  # both as in `training_step`
                with self.compute_loss_context_manager():
                    self._batches.read_step(batches, self._seed(), self.model_wrapped, self._sum_over_processes)
            maskables = [self._batches.maskable(batch, batch["draws"], self._seed()) for batch in batches]
            self._counts = StepCounts.of(maskables, self._sum_over_processes)
        return batches, None

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of one micro-batch: LIFT's step, as the paper has it."""
        seed = self._seed()
        self._check(inputs)
        self._speed.num_tokens += inputs["input_ids"].numel()
        # 1. Draw the time t, the over-mask rate rho and the mode of each row.
        draws = inputs.get("draws") or self._batches.draw(inputs, seed)
        # 2. Mask at t + rho, score the masked tokens, keep those that are learnable now, and put the others back.
        prepared = self.prepare_training_batch(model, inputs, draws, seed)
        # 3. Divide by the tokens of the whole optimiser step, over all its micro-batches and processes.
        normalised = self._normalised(prepared)
        # 4. Form the loss from hidden states, without logits, in one forward with gradient.
        outputs = self._forward(
            model, inputs, normalised.batch, one_forward=normalised.one_forward, confidence=normalised.confidence,
            return_token_stats=True,
        )  # fmt: skip
        # 5. Log what was trained, and let the score source learn from it before the next step.
        self.log_micro_batch(prepared, outputs)
        self._scorer.observe(inputs, prepared, outputs)
        if self._pool is not None and "is_masked" in inputs:
            self._pool.observe(inputs["micro_batch"], outputs.token_stats.max_log_prob)
        self._finite_loss.watch(outputs.loss, self.state.global_step + 1)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        inputs = self.clean_inputs(self._prepare_inputs(inputs))
        self._evaluation.place(inputs, self.accelerator.gradient_state)
        seed = self._evaluation_seed()
        with torch.no_grad():
            if self.args.eval_loss == "train":
                self._check(inputs)
                draws = self._batches.draw(inputs, seed)
                prepared = self.prepare_training_batch(model, inputs, draws, seed, is_evaluation=True)
                batch, maskable = prepared.batch, prepared.maskable
                outputs = self._forward(
                    model, inputs, batch, one_forward=prepared.one_forward, confidence=prepared.confidence
                )
            else:
                batch = self.prepare_evaluation_batch(inputs, self._evaluation.times(inputs))
                maskable = inputs["maskable"]
                outputs = self._forward(model, inputs, batch)
        loss: Tensor = outputs.loss.detach()
        self._evaluation.add(loss, batch, maskable)
        self.log_evaluation(inputs, loss)
        return loss, None, None

    # What a subclass may do otherwise.

    @staticmethod
    def make_collator(args: Any, pad_token_id: int, **options: Any) -> MaskedDiffusionCollator:
        """Return the collator where none is given; `options` of `MaskedDiffusionCollator` follow from the model."""
        if not isinstance(args, BatchOptions):
            raise LiftError(f"args must be a LiftConfig, got {type(args).__name__}, which has no pad_to.")
        max_length = args.max_length if args.pad_to == "max_length" else None
        if args.pad_tokens is not None:
            pad_token_id, options["more_pad_ids"] = args.pad_tokens[0], args.pad_tokens[1:]
        return MaskedDiffusionCollator(
            pad_token_id, max_length=max_length, pad_to_multiple_of=args.pad_to_multiple_of, **options
        )

    def clean_inputs(self, inputs: Any) -> CollatedBatch:
        """Return what the collator gave, as a `CollatedBatch` of clean rows.

        Raises:
            LiftError: it is none.
        """
        check_batch(inputs)
        batch: CollatedBatch = inputs
        return batch

    def mask_rate(self, time: Tensor) -> Tensor:
        """Return the mask rate (B,) at a diffusion time (B,), both in [0, 1]: for LIFT, the time."""
        return time

    def prepare_training_batch(
        self, model: nn.Module, inputs: CollatedBatch, draws: Draws, seed: int, *, is_evaluation: bool = False
    ) -> TrainingBatch:
        """Return the training forward of `inputs`, not yet divided by the tokens of the step.

        Args:
            model: patched; scores masked tokens where the method asks for it.
            inputs: clean rows.
            draws: their times, over-mask rates and modes, on the host.
            seed: of the step.
            is_evaluation: it is the evaluation that takes the method's own loss.
        """
        return self._batches.build(inputs, draws, seed, model, is_evaluation=is_evaluation)

    def prepare_evaluation_batch(self, inputs: CollatedBatch, u: Tensor) -> DenoisingBatch:
        """Return the forward of the SFT loss of `inputs` at the times u (B,), before their floor."""
        return self._batches.evaluation_batch(inputs, u, self._evaluation_seed())

    def log_micro_batch(self, prepared: TrainingBatch, outputs: Any) -> None:
        """Take note of what a micro-batch trained on, for the next log entry; reads nothing from the device."""
        self._statistics.add(prepared, outputs)
        if self._token_grid is not None:
            self._token_grid.add(prepared, outputs)

    def log_evaluation(self, inputs: CollatedBatch, loss: Tensor) -> None:
        """Take note of the loss (0-d) of an evaluation batch."""

    # The parts of a step.

    def _seed(self) -> int:
        return step_seed(self.args.seed, self.state.global_step)

    def _evaluation_seed(self) -> int:
        step = _EVALUATION_STEP if self.args.eval_reseed else _EVALUATION_STEP - self._num_evaluations
        return step_seed(self.args.seed, step)

    def _rows_of_pool(self) -> list[Any]:
        if self._pool is None:
            self._pool = open_pool(self.args, self.train_dataset)
        collate = self._get_collator_with_removed_columns(self.data_collator, "training")
        return [self._prepare_inputs(collate(rows)) for rows in self._pool.next_rows()]

    def _check(self, inputs: CollatedBatch) -> None:
        if inputs["input_ids"].device.type == "cpu":
            # Its weight may lie in shards, so its shape says nothing.
            check_token_ids(inputs, self.model.get_input_embeddings().num_embeddings)

    def _normalised(self, prepared: TrainingBatch) -> TrainingBatch:
        if self._counts is None:  # a micro-batch from elsewhere is a step of its own
            return normalise(prepared, self.args, StepCounts.of([prepared.maskable], lambda sums: sums), share=1.0)
        share = 1 / (self.current_gradient_accumulation_steps * self.args.world_size)
        return normalise(prepared, self.args, self._counts, share=share)

    def _forward(
        self, model: nn.Module, inputs: CollatedBatch, batch: DenoisingBatch, *, one_forward: OneForward | None = None,
        **options: Any,
    ) -> Any:  # fmt: skip
        views = batch.input_ids.shape[0] // inputs["input_ids"].shape[0]
        arguments = attention_arguments(self._family, self.model, inputs, views=views)
        if one_forward is None:
            arguments["token_weight"] = Uncast(batch.token_weight)
        else:  # the weights are formed inside the loss
            arguments["lift"] = Uncast(one_forward)
        forward = in_blocks(self._family, model, inputs["input_ids"]) if "blocks" in inputs else model
        return forward(
            input_ids=batch.input_ids, labels=batch.labels, denominator=Uncast(batch.denominator), return_dict=True,
            **arguments, **options, **self._scorer.label_arguments,
        )  # fmt: skip


def _patch(model: Any, **options: Any) -> None:
    try:
        apply_lift_kernels(model, **options)
    except ValueError as error:
        raise LiftError(str(error)) from None

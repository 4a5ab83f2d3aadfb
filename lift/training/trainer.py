"""`LiftTrainer`: transformers' Trainer with LIFT's forward process and loss."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from transformers import PreTrainedModel, Trainer
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from lift import objectives
from lift.data import resolve_mask_token_id, resolve_pad_token_id
from lift.data.collator import MaskedDiffusionCollator
from lift.errors import LiftError
from lift.learnability.scoring import score_rows
from lift.models.attention import attention_arguments
from lift.models.evaluation_mode import evaluation_mode
from lift.models.fsdp import choose_units, shard_on_cpu
from lift.models.gradient_checkpointing import enable_gradient_checkpointing
from lift.models.lora import check_resumable
from lift.objectives import DenoisingBatch
from lift.objectives.forward_process import diffusion_time, evaluation_time, step_seed
from lift.objectives.normalizers import StepCounts, token_weights_and_denominator
from lift.training.checks import check_token_ids, check_vocabulary
from lift.training.config import LiftConfig
from lift.training.length_sampler import length_grouped_sampler
from lift.training.packing import packed_as_asked
from lift.training.place_in_step import place_in_step
from lift.training.progress import Speed, TrainingProgress
from lift.training.score_source import load_scores, score_source_for
from lift.training.statistics import StepStatistics
from lift.training.step import TrainingBatch, TrainingBatches, host_example_id
from lift.training.warnings import cautions
from lift_kernels import TokenStats, apply_lift_kernels
from lift_kernels.models import Uncast, find_model_family, unwrap_model, vocab_size_of

logger = logging.getLogger(__name__)

_EVALUATION_STEP = -1  # stands for the optimiser step in the seed of evaluation masks, which never change


class LiftTrainer(Trainer):
    """Fine-tune a masked language model with one of `lift.objectives`, without ever building logits.

    The model is patched in place by `lift_kernels.apply_lift_kernels`. Masks, times and random subsets are pure
    functions of (args.seed, optimiser step, example_id), so a resumed run is the same run. The evaluation loss is the
    plain SFT loss at fixed times (i + 1/2) / n with fixed masks: two evaluations of one model agree to the bit.

    Args:
        model: any that `lift_kernels.apply_lift_kernels` knows; whole, or wrapped by PEFT, whose adapter alone is then
            trained and saved.
        args: `LiftConfig`.
        train_dataset, eval_dataset: from `prepare_dataset`, columns input_ids, prompt_length, example_id.
        processing_class: the tokenizer; gives mask and pad ids and is saved with the checkpoints.
        kwargs: the other arguments of `transformers.Trainer`.

    Raises:
        LiftError: no mask token, a mask id outside the vocabulary, or a tokenizer larger than the model's head.

    Source: LIFT (arXiv 2605.22939).
    """

    args: LiftConfig
    model: Any

    def __init__(
        self, model: PreTrainedModel, args: LiftConfig, *, processing_class: Any = None, **kwargs: Any
    ) -> None:
        if isinstance(model, str):
            raise LiftError(f"a model is needed, got the name {model!r}: load it with lift.models.loading.load_model.")
        if processing_class is None:
            raise LiftError(
                "LiftTrainer needs the tokenizer, for its mask and pad tokens: pass processing_class=tokenizer."
            )
        if kwargs.get("compute_loss_func") is not None:
            raise LiftError("LiftTrainer has its own loss: leave compute_loss_func out, or use transformers.Trainer.")
        if args.n_gpu > 1:
            raise LiftError(
                f"{args.n_gpu} GPUs are visible to one process, which DataParallel would share: start one process "
                f"per GPU with torchrun --nproc_per_node {args.n_gpu}, or set CUDA_VISIBLE_DEVICES=0."
            )
        try:
            apply_lift_kernels(model)
        except ValueError as error:
            raise LiftError(str(error)) from None
        self._family = find_model_family(unwrap_model(model))
        vocab_size = vocab_size_of(model.get_output_embeddings())
        check_vocabulary(processing_class, vocab_size)
        for sentence in cautions(model, self._family, args):
            logger.warning(sentence)
        self.mask_token_id = resolve_mask_token_id(
            processing_class, args.mask_token_id, config=model.config, vocab_size=vocab_size
        )
        model.config.mask_token_id = self.mask_token_id  # saved with the model, for its samplers
        pad_token_id = resolve_pad_token_id(processing_class, config=model.config, vocab_size=vocab_size)
        kwargs["train_dataset"] = packed_as_asked(kwargs.get("train_dataset"), args, model.config)
        if kwargs.get("data_collator") is None:
            kwargs["data_collator"] = self._collator(
                args, pad_token_id, pad_in_loss=args.pad_in_loss,
                predicts_next=self._family.predicts_next and args.shift_first == "exclude",
            )  # fmt: skip
        super().__init__(model, args, processing_class=processing_class, **kwargs)
        if self.args.gradient_checkpointing:
            options: Any = self.args.gradient_checkpointing_kwargs
            enable_gradient_checkpointing(self.model, options)
        # The Trainer then divides each micro-batch's loss by the number of accumulation steps (`_share`).
        self.model_accepts_loss_kwargs = False
        self._speed = Speed()
        self._statistics = StepStatistics(self.args.device)
        self._batches = TrainingBatches(
            self.args, mask_token_id=self.mask_token_id, pad_token_id=pad_token_id,
            logits_dtype=model.get_output_embeddings().weight.dtype, num_processes=self.args.world_size,
        )  # fmt: skip
        self._scores = score_source_for(self, vocab_size, pad_token_id) if self.train_dataset is not None else None
        self._num_evaluations = 0
        self._counts: StepCounts | None = None
        self._num_eval_examples = 1
        self._is_finite = torch.ones((), dtype=torch.bool, device=self.args.device)
        if not self.args.disable_tqdm:
            self.remove_callback(ProgressCallback)
            self.add_callback(TrainingProgress())

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        shard_on_cpu(self.accelerator, getattr(self.args, "fsdp_plugin_args", None))  # of transformers 5
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None
        if self.is_fsdp_enabled:
            choose_units(self.accelerator, self.model)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        prepared = self._training_batch(model, inputs)
        batch = self._normalised(prepared)
        lift = prepared.lift and {**prepared.lift, "time_scaling": False, "row_weight": batch.token_weight[:, 0]}
        outputs = self._forward(model, inputs, batch, return_token_stats=True, lift=lift)
        self._count(prepared, outputs)
        if self._scores is not None:
            num_rows = inputs["input_ids"].shape[0]  # without the second views of complementary masks
            log_prob = outputs.token_stats.log_prob[:num_rows].detach()
            self._scores.update(host_example_id(inputs), batch.labels[:num_rows] != -100, log_prob)
        if outputs.loss.device.type == "cpu":
            self._check_finite(outputs.loss.item())
        else:  # reading it would synchronise: it is looked at before anything is logged or saved
            self._is_finite &= outputs.loss.detach().isfinite()
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Tensor], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad():
            if self.args.eval_loss == "train":
                prepared = self._training_batch(model, inputs, seed=self._evaluation_seed())
                outputs = self._forward(model, inputs, prepared.batch, lift=prepared.lift)
            else:
                outputs = self._forward(model, inputs, self._evaluation_batch(inputs))
        return outputs.loss.detach(), None, None

    def evaluation_loop(self, dataloader: DataLoader[Any], *args: Any, **kwargs: Any) -> Any:
        self._num_eval_examples = max(self.num_examples(dataloader), 1)
        return super().evaluation_loop(dataloader, *args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        self._speed.take()  # what came before is no training time
        if self.args.world_size > 1 and self.model_wrapped is self.model:
            # An evaluation before has prepared the model, which accelerate (1.15) would then leave out of DDP.
            vars(self.model)["_is_accelerate_prepared"] = False
        result = super().train(*args, **kwargs)
        self._check_all_finite()
        return result

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        self._num_evaluations += 1
        with self._speed.paused():
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._check_all_finite()
        with self._speed.paused():
            if self._scores is not None:
                # First, so that a checkpoint that looks complete has them.
                self._scores.save(Path(str(self.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            super()._save_checkpoint(*args, **kwargs)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self._scores is not None:
            self._scores = load_scores(self._scores, checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        check_resumable(self.model if model is None else model, resume_from_checkpoint)
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._check_all_finite()
            logs.update(self._statistics.take(self._sum_over_processes))
            logs.update(self._speed.take())
        super().log(logs, start_time)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], None]:
        """The micro-batches of one optimiser step, each with its place in it, and what the loss is divided by."""
        batches, _ = super().get_batch_samples(*args, **kwargs)
        if batches:
            place_in_step(
                batches, self.accelerator.gradient_state, process=self.args.process_index,
                num_processes=self.args.world_size,
            )  # fmt: skip
            seed = step_seed(self.args.seed, self.state.global_step)
            maskables = [self._batches.counted(batch, seed) for batch in batches]
            self._counts = StepCounts.of(maskables, self._sum_over_processes)
        return batches, None

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows = self.train_dataset if train_dataset is None else train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        grouped = length_grouped_sampler(self.args, rows, size, lambda: int(self.state.epoch or 0))
        return super()._get_train_sampler(train_dataset) if grouped is None else grouped

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        grouped = length_grouped_sampler(
            self.args, eval_dataset, self.args.eval_batch_size * self.args.world_size, lambda: 0
        )
        return super()._get_eval_sampler(eval_dataset) if grouped is None else grouped

    @staticmethod
    def _collator(args: LiftConfig, pad_token_id: int, **options: Any) -> MaskedDiffusionCollator:
        max_length = args.max_length if args.pad_to == "max_length" else None
        return MaskedDiffusionCollator(
            pad_token_id, max_length=max_length, pad_to_multiple_of=args.pad_to_multiple_of, **options
        )

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return values if self.args.world_size == 1 else self.accelerator.reduce(values.to(self.args.device), "sum")

    def _normalised(self, prepared: TrainingBatch) -> DenoisingBatch:
        args, batch, counts = self.args, prepared.batch, self._counts
        if args.method == "gift" and args.loss_denominator is None:
            return batch  # divided by the tokens drawn, whose rates depend on the micro-batch
        if counts is None:  # a micro-batch from elsewhere is a step of its own
            counts, share = StepCounts.of([prepared.maskable], lambda values: values), 1.0
        else:
            share = 1 / (self.current_gradient_accumulation_steps * args.world_size)
        token_weight, denominator = token_weights_and_denominator(
            args.loss_normalizer, args.loss_denominator, batch.token_weight, prepared.maskable, counts,
            batch.denominator, share,
        )  # fmt: skip
        return batch._replace(token_weight=token_weight, denominator=denominator)

    def _count(self, prepared: TrainingBatch, outputs: Any) -> None:
        labels = prepared.batch.labels
        rejected, rejected_log_prob = prepared.rejected, prepared.rejected_log_prob
        if prepared.lift is not None and self.args.learnability == "hard":
            is_kept = outputs.learnability
            rejected = (labels != -100) & ~is_kept
            labels, rejected_log_prob = labels.where(is_kept, -100), outputs.token_stats.log_prob
        self._statistics.add(
            timestep=prepared.timestep, rho=prepared.rho, order=prepared.order, labels=labels,
            stats=outputs.token_stats, rejected=rejected, rejected_log_prob=rejected_log_prob,
        )  # fmt: skip

    def _training_batch(self, model: nn.Module, inputs: dict[str, Tensor], seed: int | None = None) -> TrainingBatch:
        if inputs["input_ids"].device.type == "cpu":
            # Its weight may lie in shards, so its shape says nothing.
            check_token_ids(inputs, self.model.get_input_embeddings().num_embeddings)
        is_evaluation = seed is not None
        if seed is None:
            seed = step_seed(self.args.seed, self.state.global_step)
            self._speed.num_tokens += inputs["input_ids"].numel()

        def statistics(corrupted_ids: Tensor, labels: Tensor, rows: Tensor) -> TokenStats:
            return self._score(model, inputs, corrupted_ids, labels, rows)

        # A cache knows the training rows alone, and those of an evaluation have the same numbers.
        scores = None if is_evaluation and self.args.score_source == "cache" else self._scores
        lookup = None if scores is None else scores.score_batch
        return self._batches.build(inputs, seed, statistics, lookup)

    def _score(
        self, model: nn.Module, inputs: dict[str, Tensor], corrupted_ids: Tensor, labels: Tensor, rows: Tensor
    ) -> TokenStats:
        """Statistics (B, L) of the labels in `rows`, dropout off, without gradient; 0 in the other rows."""
        dropout = nullcontext() if self.args.score_train_mode else evaluation_mode(model)
        attention = attention_arguments(self._family, self.model.config, inputs, rows=rows)
        with dropout:
            return score_rows(model, corrupted_ids, labels, rows, **attention, **self._shift())

    def _evaluation_seed(self) -> int:
        step = _EVALUATION_STEP if self.args.eval_reseed else _EVALUATION_STEP - self._num_evaluations
        return step_seed(self.args.seed, step)

    def _evaluation_batch(self, inputs: dict[str, Tensor]) -> DenoisingBatch:
        example_id = inputs["example_id"]
        uniform = evaluation_time(example_id, self._num_eval_examples, grid=self.args.eval_grid)
        return objectives.sft_batch(
            inputs["input_ids"],
            inputs["maskable"],
            self._batches.mask_rate(diffusion_time(uniform, epsilon=self.args.time_epsilon)),
            mask_token_id=self.mask_token_id,
            seed=self._evaluation_seed(),
            example_id=example_id,
        )

    def _forward(self, model: nn.Module, inputs: dict[str, Tensor], batch: DenoisingBatch, **options: Any) -> Any:
        views = batch.input_ids.shape[0] // inputs["input_ids"].shape[0]
        arguments = attention_arguments(self._family, self.model.config, inputs, views=views)
        if options.get("lift") is None:
            arguments["token_weight"] = Uncast(batch.token_weight)
        else:  # the weights are formed inside the loss
            options["lift"] = Uncast(options["lift"])
        return model(
            input_ids=batch.input_ids, labels=batch.labels, denominator=Uncast(batch.denominator), **arguments,
            **options, **self._shift(),
        )  # fmt: skip

    def _shift(self) -> dict[str, Any]:
        """How a model that predicts the next token is to take labels."""
        if not self._family.predicts_next:
            return {}
        is_lift = self.args.method not in ("sft", "cart", "gift")
        if self.args.lift_ignores_shift and is_lift:
            return {"predicts_next": False}
        return {"first_position": "zeros" if self.args.shift_first == "zeros" else "ignore"}

    def _check_all_finite(self) -> None:
        if not self._is_finite:
            self._check_finite(math.nan)

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise LiftError(
                f"the loss is {loss} by step {self.state.global_step + 1}, so training stopped: lower learning_rate, "
                "set max_grad_norm, or look for broken weights or data; the last checkpoint in output_dir is intact."
            )

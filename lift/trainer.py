"""`LiftTrainer`: transformers' Trainer with LIFT's forward process and loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer
from transformers.trainer_callback import ProgressCallback

from lift import objectives
from lift.collator import MaskedDiffusionCollator
from lift.config import LiftConfig
from lift.data import resolve_mask_token_id, resolve_pad_token_id
from lift.errors import LiftError
from lift.evaluation_mode import evaluation_mode
from lift.forward_process import diffusion_time, step_seed
from lift.normalizers import StepCounts, token_weights_and_denominator
from lift.objectives import DenoisingBatch
from lift.progress import Speed, TrainingProgress
from lift.step_statistics import StepStatistics
from lift.training_batch import TrainingBatch, TrainingBatches
from lift_kernels import apply_lift_kernels

_EVALUATION_STEP = -1  # stands for the optimiser step in the seed of evaluation masks, which never change


class LiftTrainer(Trainer):
    """Fine-tune a masked language model with `sft`, `lift2` or `lift3`, without ever building logits.

    The model is patched in place by `lift_kernels.apply_lift_kernels`. Masks, times and random subsets are pure
    functions of (args.seed, optimiser step, example_id), so a resumed run is the same run. The evaluation loss is the
    plain SFT loss at fixed times (i + 1/2) / n with fixed masks: two evaluations of one model agree to the bit.

    Args:
        model: a BERT or ModernBERT masked LM, or a family added with `register_model_family`.
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
        if processing_class is None:
            raise LiftError(
                "LiftTrainer needs the tokenizer, for its mask and pad tokens: pass processing_class=tokenizer."
            )
        if args.n_gpu > 1:
            raise LiftError(
                f"{args.n_gpu} GPUs are visible to one process, which DataParallel would share: start one process "
                f"per GPU with torchrun --nproc_per_node {args.n_gpu}, or set CUDA_VISIBLE_DEVICES=0."
            )
        try:
            apply_lift_kernels(model)
        except ValueError as error:
            raise LiftError(str(error)) from None
        vocab_size = model.get_output_embeddings().weight.shape[0]
        _check_vocabulary(processing_class, vocab_size)
        self.mask_token_id = resolve_mask_token_id(processing_class, args.mask_token_id, vocab_size=vocab_size)
        if kwargs.get("data_collator") is None:
            kwargs["data_collator"] = MaskedDiffusionCollator(
                resolve_pad_token_id(processing_class), pad_in_loss=args.pad_in_loss
            )
        super().__init__(model, args, processing_class=processing_class, **kwargs)
        # The Trainer then divides each micro-batch's loss by the number of accumulation steps (`_share`).
        self.model_accepts_loss_kwargs = False
        self._speed = Speed()
        self._statistics = StepStatistics(self.args.device)
        self._batches = TrainingBatches(self.args, self.mask_token_id)
        self._counts: StepCounts | None = None
        self._num_eval_examples = 1
        self._is_finite = torch.ones((), dtype=torch.bool, device=self.args.device)
        if not self.args.disable_tqdm:
            self.remove_callback(ProgressCallback)
            self.add_callback(TrainingProgress())

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        prepared = self._training_batch(model, inputs)
        batch = self._normalised(prepared.batch, inputs["maskable"])
        lift = prepared.lift and {**prepared.lift, "time_scaling": False, "row_weight": batch.token_weight[:, 0]}
        outputs = self._forward(model, inputs, batch, return_token_stats=True, lift=lift)
        self._count(prepared, outputs)
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
            outputs = self._forward(model, inputs, self._evaluation_batch(inputs))
        return outputs.loss.detach(), None, None

    def evaluation_loop(self, dataloader: DataLoader[Any], *args: Any, **kwargs: Any) -> Any:
        self._num_eval_examples = max(self.num_examples(dataloader), 1)
        return super().evaluation_loop(dataloader, *args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        self._speed.take()  # what came before is no training time
        result = super().train(*args, **kwargs)
        self._check_all_finite()
        return result

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with self._speed.paused():
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._check_all_finite()
        with self._speed.paused():
            super()._save_checkpoint(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._check_all_finite()
            logs.update(self._statistics.take(self._sum_over_processes))
            logs.update(self._speed.take())
        super().log(logs, start_time)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], None]:
        """The micro-batches of one optimiser step, after counting what the loss is divided by."""
        batches, _ = super().get_batch_samples(*args, **kwargs)
        if self.args.loss_normalizer != "micro_batch" and batches:
            self._counts = StepCounts.of([batch["maskable"] for batch in batches], self._sum_over_processes)
        return batches, None

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return values if self.args.world_size == 1 else self.accelerator.reduce(values.to(self.args.device), "sum")

    def _normalised(self, batch: DenoisingBatch, maskable: Tensor) -> DenoisingBatch:
        args = self.args
        counts = self._counts
        if counts is None:  # a micro-batch from elsewhere is a step of its own
            counts = StepCounts.of([maskable], lambda values: values)
            share = 1.0
        else:
            share = 1 / (self.current_gradient_accumulation_steps * args.world_size)
        token_weight, denominator = token_weights_and_denominator(
            args.loss_normalizer, args.loss_denominator, batch.token_weight, maskable, counts, batch.denominator, share
        )
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

    def _training_batch(self, model: nn.Module, inputs: dict[str, Tensor]) -> TrainingBatch:
        if inputs["input_ids"].device.type == "cpu":
            self._check_ids(inputs)
        self._speed.num_tokens += inputs["input_ids"].numel()
        seed = step_seed(self.args.seed, self.state.global_step)

        def score(corrupted_ids: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
            return self._score(model, inputs, corrupted_ids, labels, rows)

        return self._batches.build(inputs, seed, score)

    def _score(
        self, model: nn.Module, inputs: dict[str, Tensor], corrupted_ids: Tensor, labels: Tensor, rows: Tensor
    ) -> Tensor:
        """Log-probability (B, L) of the labels in `rows`, dropout off, without gradient; 0 in the other rows."""
        log_prob = torch.zeros(labels.shape, dtype=torch.float32, device=labels.device)
        if rows.numel() == 0:
            return log_prob
        attention_mask = inputs.get("attention_mask")
        with torch.no_grad(), evaluation_mode(model):
            stats = model(
                input_ids=corrupted_ids[rows],
                labels=labels[rows],
                return_token_stats=True,
                **({} if attention_mask is None else {"attention_mask": attention_mask[rows]}),
            ).token_stats
        return log_prob.index_copy_(0, rows, stats.log_prob)

    def _evaluation_batch(self, inputs: dict[str, Tensor]) -> DenoisingBatch:
        example_id = inputs["example_id"]
        # Row numbers may have gaps where long rows were dropped: modulo keeps every time below 1.
        midpoint = (example_id % self._num_eval_examples + 0.5) / self._num_eval_examples
        return objectives.sft_batch(
            inputs["input_ids"],
            inputs["maskable"],
            diffusion_time(midpoint, epsilon=self.args.time_epsilon),
            mask_token_id=self.mask_token_id,
            seed=step_seed(self.args.seed, _EVALUATION_STEP),
            example_id=example_id,
        )

    def _forward(self, model: nn.Module, inputs: dict[str, Tensor], batch: DenoisingBatch, **options: Any) -> Any:
        arguments: dict[str, Any] = batch._asdict()
        if inputs.get("attention_mask") is not None:
            arguments["attention_mask"] = inputs["attention_mask"]
        if options.get("lift") is not None:
            del arguments["token_weight"]  # formed inside the loss
        return model(**arguments, **options)

    def _check_ids(self, inputs: dict[str, Tensor]) -> None:
        vocab_size = int(self.model.get_input_embeddings().weight.shape[0])
        is_outside = ((inputs["input_ids"] < 0) | (inputs["input_ids"] >= vocab_size)).any(1)
        if is_outside.any():
            example = inputs["example_id"][is_outside][0].item()
            raise LiftError(
                f"row {example} of the training data has token ids outside the model's vocabulary of {vocab_size}: "
                "tokenise it with the model's own tokenizer."
            )

    def _check_all_finite(self) -> None:
        if not self._is_finite:
            self._check_finite(math.nan)

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise LiftError(
                f"the loss is {loss} by step {self.state.global_step + 1}, so training stopped: lower learning_rate, "
                "set max_grad_norm, or look for broken weights or data; the last checkpoint in output_dir is intact."
            )


def _check_vocabulary(tokenizer: Any, vocab_size: int) -> None:
    if tokenizer is not None and len(tokenizer) > vocab_size:
        raise LiftError(
            f"the tokenizer has {len(tokenizer)} tokens but the model's head only {vocab_size} rows: use the model's "
            "own tokenizer, or call model.resize_token_embeddings(len(tokenizer)) first."
        )

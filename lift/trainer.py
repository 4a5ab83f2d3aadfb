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
from lift.forward_process import diffusion_time, draw_mode_words, draw_uniforms, overmask_rate, step_seed
from lift.objectives import DenoisingBatch
from lift.progress import IntervalCounts, TrainingProgress
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
        # The loss is a mean over the micro-batch, so the Trainer divides it by the number of accumulation steps.
        self.model_accepts_loss_kwargs = False
        self._interval = IntervalCounts()
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
        batch = self._training_batch(model, inputs)
        outputs = self._forward(model, inputs, batch)
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
        self._interval.take()  # what came before is no training time
        result = super().train(*args, **kwargs)
        self._check_all_finite()
        return result

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with self._interval.paused():
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._check_all_finite()
        with self._interval.paused():
            super()._save_checkpoint(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._check_all_finite()
            logs.update(self._interval.take())
        super().log(logs, start_time)

    def _training_batch(self, model: nn.Module, inputs: dict[str, Tensor]) -> DenoisingBatch:
        args, example_id = self.args, inputs["example_id"]
        if example_id.device.type == "cpu":
            self._check_ids(inputs)
        seed = step_seed(args.seed, self.state.global_step)
        # Drawn on the host, where the number of rows to score must be known: one small copy a micro-batch.
        host_id = example_id.cpu()
        uniform_time, uniform_rho = draw_uniforms(seed, host_id)
        timestep = diffusion_time(uniform_time, epsilon=args.time_epsilon)
        device = inputs["input_ids"].device
        self._interval.num_tokens += inputs["input_ids"].numel()
        if args.method == "sft":
            return objectives.sft_batch(
                inputs["input_ids"],
                inputs["maskable"],
                timestep.to(device),
                mask_token_id=self.mask_token_id,
                seed=seed,
                example_id=example_id,
            )
        rho = overmask_rate(uniform_time, uniform_rho, min_rho=args.min_rho)
        if args.mode_policy == "time":
            order = objectives.choose_order(timestep, args.method)
        else:
            order = objectives.draw_order(draw_mode_words(seed, host_id), args.method)
        self._interval.count_modes(order)
        needs_score = (order != objectives.MIDDLE).nonzero()[:, 0]
        if self.args.world_size > 1:
            # Wrappers may communicate in every forward: all processes must run the same number of them.
            needs_score = torch.arange(order.shape[0])

        def score(corrupted_ids: Tensor, labels: Tensor, _order: Tensor) -> Tensor:
            return self._score(model, inputs, corrupted_ids, labels, needs_score.to(device))

        return objectives.lift_batch(
            inputs["input_ids"], inputs["maskable"], timestep.to(device), rho.to(device), order.to(device), score,
            mask_token_id=self.mask_token_id, seed=seed, example_id=example_id, time_scaling=args.time_scaling,
        )  # fmt: skip

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

    def _forward(self, model: nn.Module, inputs: dict[str, Tensor], batch: DenoisingBatch) -> Any:
        attention_mask = inputs.get("attention_mask")
        return model(**batch._asdict(), **({} if attention_mask is None else {"attention_mask": attention_mask}))

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

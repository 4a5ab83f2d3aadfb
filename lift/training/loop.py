"""transformers' Trainer around the steps: its loops, checkpoints, log and samplers, as LIFT's steps need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from lift.models.fsdp import choose_units, shard_on_cpu
from lift.models.lora import check_resumable
from lift.models.transformers_versions import fsdp_plugin_arguments
from lift.training.config import LiftConfig
from lift.training.finite_loss import FiniteLoss
from lift.training.length_sampler import length_grouped_sampler
from lift.training.progress import Speed
from lift.training.score_source import load_scores
from lift.training.scorer import Scorer
from lift.training.statistics import StepStatistics


class TrainingLoop(Trainer):
    """transformers' Trainer with a log, a score source and a check of the loss; the steps are its subclass's.

    A run can be resumed within an epoch, on another number of processes, sharded on CPUs too, and grouped by length.
    """

    args: LiftConfig
    model: Any
    _finite_loss: FiniteLoss
    _scorer: Scorer
    _speed: Speed
    _statistics: StepStatistics
    _num_eval_examples = 1
    _num_evaluations = 0

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        shard_on_cpu(self.accelerator, fsdp_plugin_arguments(self.args))
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None
        if self.is_fsdp_enabled:
            choose_units(self.accelerator, self.model)

    def evaluation_loop(self, dataloader: DataLoader[Any], *args: Any, **kwargs: Any) -> Any:
        self._num_eval_examples = max(self.num_examples(dataloader), 1)
        return super().evaluation_loop(dataloader, *args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        self._speed.take()  # what came before is no training time
        if self.args.world_size > 1 and self.model_wrapped is self.model:
            # An evaluation before has prepared the model, which accelerate (1.15) would then leave out of DDP.
            vars(self.model)["_is_accelerate_prepared"] = False
        result = super().train(*args, **kwargs)
        self._finite_loss.check(self.state.global_step + 1)
        return result

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        self._num_evaluations += 1
        with self._speed.paused():
            return super().evaluate(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._finite_loss.check(self.state.global_step + 1)
            logs.update(self._statistics.take(self._sum_over_processes))
            logs.update(self._speed.take())
        super().log(logs, start_time)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._finite_loss.check(self.state.global_step + 1)
        with self._speed.paused():
            if self._scorer.source is not None:
                # First, so that a checkpoint that looks complete has them.
                folder = Path(str(self.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
                self._scorer.source.save(folder)
            super()._save_checkpoint(*args, **kwargs)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self._scorer.source is not None:
            self._scorer.source = load_scores(self._scorer.source, checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        check_resumable(self.model if model is None else model, resume_from_checkpoint)
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows = self.train_dataset if train_dataset is None else train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        grouped = length_grouped_sampler(self.args, rows, size, lambda: int(self.state.epoch or 0))
        return super()._get_train_sampler(train_dataset) if grouped is None else grouped

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        size = self.args.eval_batch_size * self.args.world_size
        grouped = length_grouped_sampler(self.args, eval_dataset, size, lambda: 0)
        return super()._get_eval_sampler(eval_dataset) if grouped is None else grouped

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return values if self.args.world_size == 1 else self.accelerator.reduce(values.to(self.args.device), "sum")

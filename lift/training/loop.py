"""transformers' Trainer around the steps: its loops, checkpoints, log and samplers, as LIFT's steps need them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, PredictionOutput

from lift.atomic_write import apply_umask
from lift.data.example_ids import check_example_ids
from lift.errors import LiftError
from lift.models.fsdp import choose_units, shard_on_cpu
from lift.models.lora import check_resumable
from lift.models.transformers_versions import fsdp_plugin_arguments
from lift.objectives import METHODS
from lift.training.after_last_step import AfterLastStep
from lift.training.best_metric import check_best_metric
from lift.training.checkpoints import check_unfinished, find_checkpoint, step_of
from lift.training.config import LiftConfig
from lift.training.evaluation import Evaluation
from lift.training.finite_loss import FiniteLoss
from lift.training.length_sampler import length_grouped_sampler
from lift.training.pool_file import gather_state, read_pool, write_pool
from lift.training.pool_of_run import open_pool, steps_loader
from lift.training.progress import Speed, TrainingProgress, shows_progress
from lift.training.row_pool import RowPool
from lift.training.score_source import load_scores
from lift.training.scorer import Scorer
from lift.training.settings_record import check_attention, compare_settings, write_settings
from lift.training.statistics import StepStatistics
from lift.training.token_grid import TokenGrid


class TrainingLoop(AfterLastStep):
    """transformers' Trainer with a log, a score source and a check of the loss; the steps are its subclass's.

    A run can be resumed within an epoch, on another number of processes, sharded on CPUs too, and grouped by length.
    """

    args: LiftConfig
    model: Any
    _finite_loss: FiniteLoss
    _scorer: Scorer
    _speed: Speed
    _statistics: StepStatistics
    _token_grid: TokenGrid | None = None
    _evaluation: Evaluation
    _pool: RowPool | None = None
    """Of a method that keeps one, from its first step or the checkpoint that it goes on from."""
    _num_evaluations = 0
    _may_be_over = False
    _is_attention_given: bool
    mask_token_id: int

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        shard_on_cpu(self.accelerator, fsdp_plugin_arguments(self.args))
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None
        if self.is_fsdp_enabled:
            choose_units(self.accelerator, self.model)

    def evaluation_loop(
        self, dataloader: DataLoader[Any], description: str, prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval",
    ) -> Any:  # fmt: skip
        """Run an evaluation or prediction. Its loss is that of the whole set, whatever the batches and processes."""
        self._check_example_ids(dataloader.dataset)
        self._evaluation = Evaluation(dataloader.dataset, self.args)
        output: Any = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        output.metrics[f"{metric_key_prefix}_loss"] = self._evaluation.loss(self._sum_over_processes)
        return output

    def predict(self, *args: Any, **kwargs: Any) -> PredictionOutput:
        """Return the loss of a set, `metrics["test_loss"]`, as `evaluate` computes it, and no predictions.

        `predictions` and `label_ids` are None: logits are never built. Text comes from `lift.sampling`.
        """
        return super().predict(*args, **kwargs)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train; go on from a checkpoint, or from the newest whole one of a run's folder, where that is asked for.

        Args:
            resume_from_checkpoint: see `find_checkpoint`; by default the field of that name in `self.args`.
            args, kwargs: the other arguments of `transformers.Trainer.train`.

        Raises:
            LiftError: there is no such checkpoint, nothing to train on, no evaluation gives what is compared, or the
                checkpoint's run attended to whole rows and this one, unasked, would to blocks.
        """
        if self.train_dataset is None:
            raise LiftError("training needs rows: pass train_dataset to the trainer.")
        check_best_metric(self)
        if resume_from_checkpoint is None:
            resume_from_checkpoint = self.args.resume_from_checkpoint
        checkpoint = find_checkpoint(Path(str(self.args.output_dir)), resume_from_checkpoint)
        if checkpoint is not None:
            check_attention(self.args.attention, checkpoint, is_given=self._is_attention_given)
            if self.is_world_process_zero():
                compare_settings(self, checkpoint)
        self._pool, self._begins_after = None, 0 if checkpoint is None else step_of(checkpoint)
        self._speed.take()  # what came before is no training time
        if self.args.world_size > 1 and self.model_wrapped is self.model:
            # An evaluation before has prepared the model, which accelerate (1.15) would then leave out of DDP.
            vars(self.model)["_is_accelerate_prepared"] = False
        try:
            result = super().train(None if checkpoint is None else str(checkpoint), *args, **kwargs)
        finally:
            self._begins_after = 0
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, TrainingProgress):
                    callback.close()
        self._finite_loss.check(self.state.global_step + 1)
        return result

    def finish(self, checkpoint: Path) -> Any:
        """Load the checkpoint of the last step, and do what `train`, whose result is returned, does after that step.

        Raises:
            LiftError: as `train`, but for a checkpoint that leaves nothing to train.
        """
        self._may_be_over = True
        try:
            return self.train(str(checkpoint))
        finally:
            self._may_be_over = False

    def _hp_search_setup(self, trial: Any) -> None:
        super()._hp_search_setup(trial)
        if trial is not None:
            self.args.resolve_options()  # the trial has set fields

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        self._num_evaluations += 1
        with self._speed.paused():
            return super().evaluate(*args, **kwargs)

    def timed_apart(self) -> AbstractContextManager[None]:
        """Return a context whose time does not count in tokens_per_second, as it is no training."""
        return self._speed.paused()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._finite_loss.check(self.state.global_step + 1)
            logs.update(self._statistics.take(self._sum_over_processes))
            if self._token_grid is not None:
                logs.update(self._token_grid.take(self._sum_over_processes))
            logs.update(self._speed.take())
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            apply_umask(Path(str(output_dir or self.args.output_dir)))

    def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
        self._finite_loss.check(self.state.global_step + 1)
        with self._speed.paused():
            # First, so that a checkpoint that looks complete has them.
            folder = Path(str(self._get_output_dir(trial))) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            if self._scorer.source is not None:
                self._scorer.learn()
                self._scorer.source.save(folder)
            if self._pool is not None:
                state = gather_state(self._pool, self._gather, self._max_over_processes)
                if self.args.should_save:
                    write_pool(folder, state)
            if self.args.should_save:
                write_settings(self, folder)
            super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and not self._may_be_over:
            check_unfinished(Path(checkpoint), self.args.max_steps)
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self._scorer.source is not None:
            self._scorer.source = load_scores(self._scorer.source, checkpoint)
        if checkpoint is not None and self._keeps_pool:
            self._pool = open_pool(self.args, self.train_dataset)
            self._pool.restore(read_pool(Path(checkpoint), self._pool.slots, self._pool.num_slots))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        check_resumable(self.model if model is None else model, resume_from_checkpoint)
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    @property
    def _keeps_pool(self) -> bool:
        return METHODS[self.args.method].keeps_pool

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the training rows; of a method that keeps a pool, one that counts its steps."""
        if not self._keeps_pool or self.train_dataset is None:
            return super().get_train_dataloader()
        loader: DataLoader[Any] = self.accelerator.prepare(
            steps_loader(self.args, self.train_dataset, self._train_batch_size)
        )
        return loader

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows = self.train_dataset if train_dataset is None else train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        grouped = length_grouped_sampler(self.args, rows, size, lambda: int(self.state.epoch or 0))
        return super()._get_train_sampler(train_dataset) if grouped is None else grouped

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        size = self.args.eval_batch_size * self.args.world_size
        grouped = length_grouped_sampler(self.args, eval_dataset, size, lambda: 0)
        return super()._get_eval_sampler(eval_dataset) if grouped is None else grouped

    def _check_example_ids(self, rows: Any = None) -> None:
        """Check the trainer's data sets, or one that an evaluation is given instead."""
        evaluated = self.eval_dataset if isinstance(self.eval_dataset, Mapping) else {"eval_dataset": self.eval_dataset}
        own = {"train_dataset": self.train_dataset, **evaluated}
        if rows is None:
            to_check = own
        else:
            to_check = {} if any(rows is known for known in own.values()) else {"the evaluated data set": rows}
        for name, given in to_check.items():
            if given is not None:
                check_example_ids(given, name, show_progress=shows_progress(self.args))

    def _gather(self, values: Tensor) -> Tensor:
        if self.args.world_size == 1:
            return values
        gathered: Tensor = self.accelerator.gather(values.to(self.args.device))
        return gathered

    def _max_over_processes(self, number: int) -> int:
        if self.args.world_size == 1:
            return number
        return int(self._gather(torch.tensor([number])).max())

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return values if self.args.world_size == 1 else self.accelerator.reduce(values.to(self.args.device), "sum")

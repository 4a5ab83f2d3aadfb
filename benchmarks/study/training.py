"""Training by `LiftTrainer`, as all fine-tuning of the study."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast, PrinterCallback

from benchmarks.study.tasks import Row
from lift import LiftConfig, LiftTrainer, prepare_dataset


def train(
    model: PreTrainedModel, rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, *, steps: int, seed: int,
    trainer: type[LiftTrainer] = LiftTrainer, **options: Any,
) -> None:  # fmt: skip
    """Train `model` in place: AdamW without weight decay, gradients clipped at 1, a warm-up of a tenth.

    Args:
        model: patched by this, and trained in float32.
        rows: to train on.
        tokenizer: whose `model_max_length` no row exceeds.
        steps: of the optimiser, with 32 rows each where `options` do not say otherwise.
        seed: of the order of rows, times and masks.
        trainer: the trainer's class.
        options: other fields of `LiftConfig`, such as method and learning_rate.
    """
    max_length = tokenizer.model_max_length
    data = prepare_dataset([row._asdict() for row in rows], tokenizer, max_length=max_length, show_progress=False)
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "output_dir": folder, "max_steps": steps, "seed": seed, "per_device_train_batch_size": 32, "use_cpu": True,
            "weight_decay": 0.0, "max_grad_norm": 1.0, "warmup_steps": steps // 10, "max_length": max_length,
            "save_strategy": "no", "logging_strategy": "no", "logging_first_step": False, "report_to": "none",
            "disable_tqdm": True,
        }  # fmt: skip
        runner = trainer(model, LiftConfig(**settings | options), train_dataset=data, processing_class=tokenizer)
        runner.remove_callback(PrinterCallback)
        runner.train()

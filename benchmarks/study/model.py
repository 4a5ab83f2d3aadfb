"""The small model of the study, new or from a file, and its training by `LiftTrainer`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PrinterCallback

from benchmarks.study.tasks import Row, build_tokenizer
from lift import LiftConfig, LiftTrainer, prepare_dataset
from lift.atomic_write import atomic_write

LAYERS, WIDTH = 4, 64
MAX_LENGTH = 64
"""No row is longer."""


def new_model(seed: int) -> PreTrainedModel:
    """Return a ModernBERT with random weights, which are a function of `seed` alone."""
    tokenizer = build_tokenizer()
    config = AutoConfig.for_model(
        "modernbert", vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS, num_attention_heads=4, max_position_embeddings=MAX_LENGTH,
        layer_types=["full_attention"] * LAYERS, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, cls_token_id=None, sep_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForMaskedLM.from_config(config)
    return model


def load_model(path: Path) -> PreTrainedModel:
    """Return the model whose weights `save_model` wrote."""
    model = new_model(0)
    model.load_state_dict(load_file(path))
    return model


def save_model(model: PreTrainedModel, path: Path) -> None:
    """Write the weights; the file is whole at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The head shares the embedding's weights, and safetensors wants tensors that share none.
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with atomic_write(path) as file:
        file.write(save(state))


def train(
    model: PreTrainedModel, rows: Sequence[Row], *, steps: int, seed: int, trainer: type[LiftTrainer] = LiftTrainer,
    **options: Any,
) -> None:  # fmt: skip
    """Train `model` in place: AdamW without weight decay, gradients clipped at 1, a warm-up of a tenth.

    Args:
        model: patched by this, and trained in float32.
        rows: to train on.
        steps: of the optimiser, with 32 rows each.
        seed: of the order of rows, times and masks.
        trainer: the trainer's class.
        options: other fields of `LiftConfig`, such as method and learning_rate.
    """
    tokenizer = build_tokenizer()
    data = prepare_dataset([row._asdict() for row in rows], tokenizer, max_length=MAX_LENGTH, show_progress=False)
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "output_dir": folder, "max_steps": steps, "seed": seed, "per_device_train_batch_size": 32, "use_cpu": True,
            "weight_decay": 0.0, "max_grad_norm": 1.0, "warmup_steps": steps // 10, "max_length": MAX_LENGTH,
            "save_strategy": "no", "logging_strategy": "no", "logging_first_step": False, "report_to": "none",
            "disable_tqdm": True,
        }  # fmt: skip
        runner = trainer(model, LiftConfig(**settings | options), train_dataset=data, processing_class=tokenizer)
        runner.remove_callback(PrinterCallback)
        runner.train()

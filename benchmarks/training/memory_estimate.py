"""Compare the estimated peak memory of a training step with what a run takes, each in a process of its own.

`python -m benchmarks.training.memory_estimate`: small models on a CPU, where the peak is that of the resident bytes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

import torch
from transformers import AutoModelForMaskedLM

from benchmarks.harness.memory import MIB, resident_peak_of
from benchmarks.harness.own_process import answer_of
from lift import LiftConfig, LiftTrainer
from lift.models import new_config
from lift.tasks import sudoku
from lift.training.memory_estimate import estimate_memory, with_checkpointing

_MODERNBERT = {
    "model_type": "modernbert", "vocab_size": 8000, "hidden_size": 256, "intermediate_size": 512,
    "num_hidden_layers": 8, "num_attention_heads": 4, "max_position_embeddings": 512, "pad_token_id": 0,
    "bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None,
}  # fmt: skip
_BERT = {
    "model_type": "bert", "vocab_size": 30000, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6,
    "num_attention_heads": 6, "max_position_embeddings": 512, "pad_token_id": 0,
}  # fmt: skip
_CASES = [
    (_MODERNBERT, {}),
    (_MODERNBERT, {"gradient_accumulation_steps": 3}),
    (_MODERNBERT, {"gradient_checkpointing": True}),
    (_MODERNBERT, {"method": "sft", "bf16": True}),
    (_BERT, {}),
    (_BERT, {"gradient_accumulation_steps": 3}),
    (_BERT, {"per_device_train_batch_size": 2, "optim": "adafactor"}),
    (_BERT, {"per_device_train_batch_size": 16, "optim": "sgd"}),
]


def main() -> None:
    """Print a line for each case: estimated and resident MiB beyond the weights, and their ratio."""
    for model, options in _CASES:
        found = answer_of("benchmarks.training.memory_estimate", json.dumps([model, options]))
        print(model["model_type"], options, found, flush=True)


def measure(model_options: dict[str, Any], options: dict[str, Any]) -> str:
    """Measure in this process, which should have done nothing before."""
    tokenizer = sudoku.build_tokenizer()
    generator = torch.Generator().manual_seed(0)
    rows = [
        {"input_ids": torch.randint(2, 8, (256,), generator=generator).tolist(), "prompt_length": 16, "example_id": i}
        for i in range(96)
    ]
    checkpoints = options.pop("gradient_checkpointing", False)
    defaults: dict[str, Any] = {
        "per_device_train_batch_size": 8, "timestep_distribution": "fixed", "fixed_timestep": 1.0, "max_steps": 3,
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True,
    }  # fmt: skip
    config = LiftConfig(output_dir=tempfile.gettempdir(), **(defaults | options))
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(new_config(dict(model_options), tokenizer))
    trainer = LiftTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
    estimate = estimate_memory(trainer)
    if checkpoints:
        estimate = with_checkpointing(estimate, trainer)
    _, peak = resident_peak_of(trainer.train)
    expected = estimate.peak - estimate.weights
    parts = {
        "gradients": estimate.gradients, "optimiser": estimate.optimiser, "activations": estimate.activation_bytes,
        "workspace": estimate.workspace, "block": estimate.scoring,
    }  # fmt: skip
    told = ", ".join(f"{name} {size / MIB:.0f}" for name, size in parts.items())
    return f"estimated {expected / MIB:.0f} resident {peak / MIB:.0f} ratio {expected / peak:.2f} ({told})"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        torch.set_num_threads(1)
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
    else:
        main()

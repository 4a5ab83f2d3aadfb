"""Command lines of small runs, and what they refer to."""

from __future__ import annotations

import json
import subprocess
import sys

TINY_MODEL = {
    "model_type": "modernbert", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 64, "layer_types": ["full_attention"], "bos_token_id": None,
    "eos_token_id": None, "cls_token_id": None, "sep_token_id": None,
}  # fmt: skip
TINY_RUN = [
    "--preset", "sudoku", "--model_config", json.dumps(TINY_MODEL), "--num_train_puzzles", "60", "--num_test_puzzles",
    "20", "--max_steps", "3", "--per_device_train_batch_size", "8", "--logging_steps", "1", "--warmup_steps", "1",
]  # fmt: skip
HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "numpy", "rich"}


def heavy_imports(code: str) -> set[str]:
    """Which of the libraries that take seconds to load a fresh process holds after some code."""
    code = f"import sys\n{code}\nprint('loaded:', *({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.rpartition("loaded:")[2].split())

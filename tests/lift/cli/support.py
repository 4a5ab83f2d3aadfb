"""Command lines of small runs, and what they refer to."""

from __future__ import annotations

import json
import subprocess
import sys

import torch
import yaml
from transformers import BertConfig, BertForMaskedLM

from lift.recipes import PRESETS
from tests.lift.support.tiny import prose_tokenizer

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


def preset_words(name: str) -> list[str]:
    """The flags of a preset, with a model and rows where it leaves them to the user."""
    keys = yaml.safe_load((PRESETS / f"{name}.yaml").read_text("utf-8")).keys()
    words = ["--preset", name, "--use_cpu", "true"]
    if not keys & {"model_name_or_path", "model_config"}:
        words += ["--model_name_or_path", "model"]
    return words if keys & {"task", "train_data"} else [*words, "--train_data", "rows.jsonl"]


def heavy_imports(code: str) -> set[str]:
    """Which of the libraries that take seconds to load a fresh process holds after some code."""
    code = f"import sys\n{code}\nprint('loaded:', *({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.rpartition("loaded:")[2].split())


def save_scripted(folder, script, *, rows=0, mask_token_id=None, **tokens):
    """A model that writes the token `script` names at each position, else "-", whatever it reads; and its tokenizer.

    Args:
        script: a token or an id for each position.
        rows: of the head, beyond those of the tokenizer.
        mask_token_id: what the configuration says.
        tokens: other settings of the tokenizer.
    """
    tokenizer = prose_tokenizer()
    for name, value in {"chat_template": None, "mask_token": "[MASK]", **tokens}.items():
        setattr(tokenizer, name, value)
    config = BertConfig(
        vocab_size=len(tokenizer) + rows, hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=4, max_position_embeddings=16, tie_word_embeddings=False, pad_token_id=0,
    )  # fmt: skip
    if mask_token_id is not None:
        config.mask_token_id = mask_token_id
    model = BertForMaskedLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "LayerNorm.weight" in name else 0.0)
        model.bert.embeddings.position_embeddings.weight.copy_(torch.eye(16))
        model.cls.predictions.transform.dense.weight.copy_(torch.eye(16))
        for position, token in enumerate(script):
            token_id = token if isinstance(token, int) else tokenizer.convert_tokens_to_ids(token)
            model.cls.predictions.decoder.weight[tokenizer.convert_tokens_to_ids("-"), position] = 2.0
            model.cls.predictions.decoder.weight[token_id, position] = 5.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

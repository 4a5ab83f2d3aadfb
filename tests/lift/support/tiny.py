"""A tiny model, tokenizer and data set for trainer tests."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast, TrainingArguments

from lift.data import prepare_dataset
from lift.tasks import sudoku
from lift.training.config import LiftConfig

# What transformers calls grouping by length, and what before its release 5.
GROUPED = (
    {"train_sampling_strategy": "group_by_length"}
    if hasattr(TrainingArguments, "train_sampling_strategy")
    else {"group_by_length": True}
)


def tiny_model(seed: int = 0, *, dropout: float = 0.0) -> ModernBertForMaskedLM:
    torch.manual_seed(seed)
    config = ModernBertConfig(
        vocab_size=8, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, layer_types=["full_attention"] * 2, pad_token_id=0, bos_token_id=None,
        eos_token_id=None, cls_token_id=None, sep_token_id=None, mlp_dropout=dropout, embedding_dropout=dropout,
    )  # fmt: skip
    return ModernBertForMaskedLM(config)


def prose_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, with a chat template; 5 is [MASK], 0 is padding."""
    tokens = ["[PAD]", "[EOS]", "[UNK]", "<user>", "<assistant>", "[MASK]", *sorted(string.printable)]
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    template = (
        "{% for m in messages %}{{ '<user>' if m.role == 'user' else '<assistant>' }}{{ m.content }}"
        "{% if m.role == 'assistant' %}[EOS]{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", eos_token="[EOS]", unk_token="[UNK]",
        additional_special_tokens=["<user>", "<assistant>"], chat_template=template, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def tiny_rows(num_rows: int = 24) -> Dataset:
    puzzles = sudoku.generate_puzzles(num_rows, seed=0)
    return prepare_dataset(sudoku.rows(puzzles), sudoku.build_tokenizer(), max_length=32)


def uneven_rows(num_rows: int = 24) -> list[dict]:
    """Responses of 3 to 20 tokens: micro-batches of a step then differ in how many tokens they hold."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(5, 23, (num_rows,), generator=generator).tolist()
    return [
        {"input_ids": torch.randint(2, 8, (n,), generator=generator).tolist(), "prompt_length": 2, "example_id": i}
        for i, n in enumerate(lengths)
    ]


def tiny_config(output_dir: Path, **options) -> LiftConfig:
    defaults = {
        "per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 1e-2, "logging_steps": 1,
        "save_strategy": "no", "disable_tqdm": True, "use_cpu": True,
    }  # fmt: skip
    return LiftConfig(output_dir=str(output_dir), **(defaults | options))

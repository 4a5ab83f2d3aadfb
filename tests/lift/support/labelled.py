"""The tiny rows as trainers for causal language models take them, and runs to compare."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from datasets import Dataset

from lift import LiftTrainer
from lift.tasks import sudoku
from tests.doubles.dream import DreamConfig, DreamModel
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows

# What two trainers must share for their runs to be comparable.
RUN = {
    "max_steps": 2, "learning_rate": 0.1, "optim": "sgd", "max_grad_norm": 0.0, "logging_steps": 1, "use_cpu": True,
    "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "lr_scheduler_type": "constant", "warmup_steps": 0,
    "dataloader_pin_memory": False, "weight_decay": 0.0,
}  # fmt: skip
SPLITS = ((4, 1), (2, 2), (1, 4))  # rows of a micro-batch, micro-batches of a step

# Each turn as it is, and only the assistant's inside {% generation %}.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}"
    "{% endgeneration %}{% else %}{{ message['content'] }}{% endif %}{% endfor %}"
)


def labelled_rows(num_rows: int = 24) -> Dataset:
    return Dataset.from_list(
        [
            {
                "input_ids": row["input_ids"],
                "labels": [-100] * row["prompt_length"] + row["input_ids"][row["prompt_length"] :],
                "example_id": row["example_id"],
            }
            for row in uneven_rows(num_rows)
        ]
    )


def split(size: int, accumulation: int) -> dict[str, int]:
    return {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation}


def weights_of_lift_trainer(tmp_path: Path, **options) -> list[torch.Tensor]:
    """At the end of the same run of `LiftTrainer`, whose loss is checked against its description elsewhere."""
    trainer = LiftTrainer(
        model=tiny_model(), args=tiny_config(tmp_path, **(RUN | split(4, 1) | options)), train_dataset=uneven_rows(),
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip
    trainer.train()
    return weights(trainer.model)


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def assert_same_run(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    start = weights(tiny_model())
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(theirs, start, strict=True))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def tokenizer_with_end():
    tokenizer = sudoku.build_tokenizer()
    tokenizer.eos_token = "0"  # TRL ends each completion with one
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.backend_tokenizer.model.unk_token = "0"  # TRL tries a template on words
    return tokenizer


def prompts_and_completions() -> Dataset:
    return Dataset.from_list(sudoku.rows(sudoku.generate_puzzles(24, seed=0)))


def watch_logits(model: torch.nn.Module) -> list[torch.Size]:
    """A list that grows with each call of the model's head that gives logits, and not a loss."""
    shapes: list[torch.Size] = []

    def look(module: torch.nn.Module, arguments: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() > 1:
            shapes.append(output.shape)

    model.get_output_embeddings().register_forward_hook(look)
    return shapes


def tiny_dream() -> DreamModel:
    """Predicts a token from the position before it."""
    torch.manual_seed(0)
    return DreamModel(DreamConfig(vocab_size=8, mask_token_id=1, pad_token_id=0))


class Shifted:
    """The model's logits at the tokens that they predict; none predict the first."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> SimpleNamespace:
        assert attention_mask is None or attention_mask.all()
        logits = self.model(input_ids).logits
        return SimpleNamespace(logits=torch.cat([torch.full_like(logits[:, :1], torch.nan), logits[:, :-1]], 1))

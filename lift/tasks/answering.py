"""Let a model answer the prompts of its own task, all of one length, by low-confidence remasking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from lift.errors import LiftError
from lift.sampling import generate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def answer_prompts(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    prompt_length: int,
    gen_length: int,
    batch_size: int = 500,
    steps: int | None = None,
) -> torch.Tensor:
    """Return an answer to each prompt, (N, gen_length) int64 on the CPU.

    Args:
        model: masked language model; runs on its own device.
        tokenizer: gives each prompt `prompt_length` tokens, as the task's own does.
        prompts: at least one.
        batch_size: prompts a forward pass.
        steps: decoding steps in [1, gen_length]; by default gen_length, which commits one token a step.
    Raises: LiftError if the tokenizer gives a prompt another number of tokens.
    """
    device = next(model.parameters()).device
    answers = []
    for start in range(0, len(prompts), batch_size):
        encoded = tokenizer(list(prompts[start : start + batch_size]), add_special_tokens=False)["input_ids"]
        if any(len(ids) != prompt_length for ids in encoded):
            raise LiftError(
                f"evaluate: tokenizer must give each prompt {prompt_length} tokens, but it splits them differently. "
                "Use the task's own, of build_tokenizer()."
            )
        written = generate(
            model, torch.tensor(encoded, device=device), gen_length=gen_length, mask_token_id=tokenizer.mask_token_id,
            steps=steps,
        )  # fmt: skip
        answers.append(written[:, prompt_length:].cpu())
    return torch.cat(answers)


def answer_steps(model: Any, tokenizer: PreTrainedTokenizerBase, prompt: str, gen_length: int) -> list[torch.Tensor]:
    """Return the answer to a prompt after each decoding step, (1, gen_length) int64 each, masks included."""
    prompt_ids = torch.tensor(tokenizer([prompt], add_special_tokens=False)["input_ids"], device=model.device)
    frames: list[torch.Tensor] = []
    generate(
        model, prompt_ids, gen_length=gen_length, mask_token_id=tokenizer.mask_token_id,
        on_step=lambda _, ids: frames.append(ids[:, prompt_ids.shape[1] :]),
    )  # fmt: skip
    return frames

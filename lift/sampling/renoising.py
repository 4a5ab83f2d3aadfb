"""Decode without a mask token: a canvas of random tokens, of which the least uncertain stay and the others are redrawn.

Source: DiffusionGemma in transformers, generation_diffusion_gemma.py; the bound on entropies is that of arXiv
2505.24857.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lift.fields import check_fields, option
from lift.models.evaluation_mode import evaluation_mode
from lift.sampling.config import SamplingConfig
from lift.sampling.layout import lay_out
from lift.sampling.noise import CounterNoise
from lift.sampling.prompts import check_attention_mask, check_row_ids

# (text (B, L), where it is no padding (B, L) bool, canvas (B, C), the processed logits (B, C, V) of the step before, or
# None) -> logits (B, C, V)
Denoise = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class RenoisingConfig:
    """How canvases of random tokens are decoded; the defaults are DiffusionGemma's."""

    gen_length: int = option(256, "Response length in tokens, rounded up to whole canvases.", within="[1, inf)")
    canvas_length: int = option(256, "Tokens of a canvas.", within="[1, inf)")
    steps: int = option(48, "Most forward passes of a canvas.", within="[1, inf)")
    entropy_bound: float = option(
        0.1, "Keep tokens while the entropies before sum to no more, in nats.", within="[0, inf)"
    )
    temperature_min: float = option(0.4, "Temperature towards which the steps go.", within="(0, inf)")
    temperature_max: float = option(0.8, "Temperature of the first step.", within="(0, inf)")
    stability_threshold: int = option(1, "Steps in which a draft must not change.", within="[0, inf)")
    confidence_threshold: float = option(
        0.005, "Mean entropy in nats below which a stable row ends.", within="[0, inf)"
    )
    stop_ids: tuple[int, ...] = option((), "Tokens that end a response.")
    seed: int = option(0, "Of all draws; together with row id and position it names each.")

    def __post_init__(self) -> None:
        check_fields(self, RenoisingConfig)


class RenoisingNoise(Protocol):
    """What is drawn."""

    def begin(self, forward: int, block: int, step: int) -> None:
        """Name the forward behind which the draws follow, its canvas and its step; step -1 is the canvas's first."""

    def tokens(self, logits: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Draw from softmax(logits (n, V)) the tokens (n,) int64 of some positions."""

    def token_ids(self, row: Tensor, column: Tensor, vocab_size: int) -> Tensor:
        """Draw the ids (n,) int64 of some positions, all alike likely."""


class Step(NamedTuple):
    """A step of one canvas, for `on_step`."""

    canvas: Tensor
    """(B, C) int64, what the model read."""

    next_canvas: Tensor
    """(B, C) int64, what it reads next."""

    draft: Tensor
    """(B, C) int64, its most likely tokens, which are the response in the end."""

    has_ended: Tensor
    """(B,) bool, rows that are stable and confident."""

    first: int
    """Tokens of the response before the canvas."""

    confidence: Tensor
    """(B, C) float32, the probability of the draft."""


def generate_by_renoising(
    denoise: Denoise, prompt_ids: Tensor, config: RenoisingConfig, *, vocab_size: int, pad_token_id: int,
    attention_mask: Tensor | None = None, row_ids: Tensor | None = None, noise: RenoisingNoise | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> tuple[Tensor, int]:  # fmt: skip
    """Write a response behind each prompt; return ids (B, P + C canvases) int64 and the number of forwards.

    A row decodes as it would alone: padding is moved to its left, where no position counts it and nothing sees it.

    Args:
        denoise: the model, as `diffusion_gemma` makes it.
        prompt_ids: (B, P) int64, padded on either side.
        config: the settings.
        vocab_size: V.
        pad_token_id: stands behind a stop id.
        attention_mask: (B, P), 1 on the prompt's tokens, 0 on padding; by default all of it is attended to.
        row_ids: (B,) int64, names the draws of each row; by default 0..B-1.
        noise: another source of draws.
        on_step: called after each step.

    Raises: LiftError, a ValueError, if a mask or row ids do not fit the prompts.
    """
    device, num_rows, size = prompt_ids.device, len(prompt_ids), config.canvas_length
    row_ids = check_row_ids(prompt_ids, row_ids)
    if attention_mask is not None:
        check_attention_mask(prompt_ids, attention_mask)
    prompts = lay_out(prompt_ids, attention_mask, SamplingConfig(), 0, 1, pad_token_id)
    noise = CounterNoise(config.seed, row_ids, prompts.first) if noise is None else noise
    stop_ids = torch.tensor(config.stop_ids, dtype=torch.int64, device=device)
    row = torch.arange(num_rows, device=device).repeat_interleave(size)
    column = torch.arange(size, device=device).repeat(num_rows)
    text, is_text, num_forwards = prompts.ids, prompts.is_there, 0
    is_over = torch.zeros(num_rows, dtype=torch.bool, device=device)
    for index in range(math.ceil(config.gen_length / size)):
        place = column + text.shape[1]
        noise.begin(num_forwards, index, -1)
        canvas = noise.token_ids(row, place, vocab_size).view(num_rows, size)
        draft, previous = canvas, None
        drafts: list[Tensor] = []
        has_ended = torch.zeros_like(is_over)
        for step in range(config.steps):
            share = (config.steps - step) / config.steps
            logits = denoise(text, is_text, canvas, previous)
            num_forwards += 1
            logits = logits / (config.temperature_min + (config.temperature_max - config.temperature_min) * share)
            noise.begin(num_forwards, index, step)
            sample = noise.tokens(logits.flatten(0, 1).float(), row, place).view(num_rows, size)
            fresh = noise.token_ids(row, place, vocab_size).view(num_rows, size)
            is_kept = within_bound(entropy_of(logits), config.entropy_bound)
            following = torch.where(is_kept, sample, fresh)
            # A row that has ended stays as it is while others go on.
            draft = torch.where(has_ended[:, None], draft, logits.argmax(-1))
            following = torch.where(has_ended[:, None], canvas, following)
            if previous is not None:
                logits = torch.where(has_ended[:, None, None], previous, logits)
            is_stable = torch.ones_like(has_ended)
            if config.stability_threshold:
                recent = drafts[-config.stability_threshold :]
                is_stable &= len(recent) == config.stability_threshold
                for old in recent:
                    is_stable &= (old == draft).all(1)
            drafts.append(draft)
            has_ended = has_ended | (is_stable & (entropy_of(logits).mean(1) < config.confidence_threshold))
            if on_step is not None:
                confidence = logits.float().softmax(-1).gather(-1, draft[..., None])[..., 0]
                on_step(Step(canvas, following, draft, has_ended.clone(), index * size, confidence))
            canvas, previous = following, logits
            if has_ended.all():
                break
        is_behind = torch.isin(draft, stop_ids).long().cumsum(1).roll(1, 1)
        is_behind[:, 0] = 0
        text = torch.cat([text, draft.masked_fill((is_behind > 0) | is_over[:, None], pad_token_id)], 1)
        is_text = torch.cat([is_text, torch.ones_like(draft, dtype=torch.bool)], 1)
        is_over = is_over | torch.isin(draft, stop_ids).any(1)
        if is_over.all():
            break
    return torch.cat([prompt_ids, text[:, prompt_ids.shape[1] :]], 1), num_forwards


def diffusion_gemma(model: nn.Module) -> Denoise:
    """Return the denoiser that a DiffusionGemma of transformers is; it encodes the text anew in each step."""

    @torch.no_grad()
    def denoise(text: Tensor, is_text: Tensor, canvas: Tensor, previous: Tensor | None) -> Tensor:
        # Positions from 0 at a row's first token; padding, which nothing sees, has 0 too.
        positions = (is_text.long().cumsum(1) - 1).clamp(min=0)
        behind = is_text.sum(1, keepdim=True) + torch.arange(canvas.shape[1], device=canvas.device)
        with evaluation_mode(model):
            logits: Tensor = model(
                input_ids=text, attention_mask=is_text, position_ids=positions, decoder_input_ids=canvas,
                decoder_attention_mask=torch.cat([is_text, torch.ones_like(canvas, dtype=torch.bool)], 1),
                decoder_position_ids=behind, self_conditioning_logits=previous,
            ).logits  # fmt: skip
        return logits

    return denoise


def entropy_of(logits: Tensor) -> Tensor:
    """Return the entropy (B, C) in nats of softmax(logits (B, C, V)), in float32 at least."""
    log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    return -torch.where(log_p > -torch.inf, log_p.exp() * log_p, 0.0).sum(-1)


def within_bound(entropy: Tensor, bound: float) -> Tensor:
    """Return which positions (B, C) bool are kept: those before which smaller entropies sum to at most `bound`."""
    sorted_entropy, order = entropy.sort(dim=1, stable=True)
    before = sorted_entropy.cumsum(1) - sorted_entropy
    return torch.zeros_like(order, dtype=torch.bool).scatter(1, order, before <= bound)

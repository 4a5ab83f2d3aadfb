"""`generate` for models without a mask token: what decoding by renoising has in common with it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lift.errors import LiftError
from lift.models.attention import mask_as_taken
from lift.models.evaluation_mode import evaluation_mode
from lift.models.training_record import has_no_mask_token
from lift.sampling.config import SamplingConfig
from lift.sampling.prompts import check_ids, check_prompts, vocab_size_of_model
from lift.sampling.renoising import Denoise, RenoisingConfig, Step, diffusion_gemma, generate_by_renoising
from lift_kernels.models import family_of, positions_of, unwrap_model

_SETTINGS = ("gen_length", "block_length", "steps", "stop_ids", "suppress_ids", "seed")


class Renoised(NamedTuple):
    """See `lift.sampling.Generation`."""

    ids: Tensor
    unmask_step: Tensor
    num_forwards: int
    confidence: Tensor


def writes_by_renoising(model: nn.Module) -> bool:
    """Return whether a model fills in no masks: a DiffusionGemma, or one trained with corruption=uniform."""
    return _takes_canvas(model) or has_no_mask_token(model)


def generate_renoised(
    model: nn.Module, prompt_ids: Tensor, config: SamplingConfig, *, attention_mask: Tensor | None,
    pad_token_id: int, row_ids: Tensor | None, on_progress: Callable[[int, Renoised], None],
) -> Renoised:  # fmt: skip
    """Write behind each prompt by `generate_by_renoising`, with what is told of each step.

    A canvas has `block_length` tokens, by default as many as the model's configuration says, else the whole response;
    `steps` are those of all canvases at most, by default 48 each. What is not written yet is the size of the
    vocabulary, an id that no token has.

    Raises:
        LiftError: a setting is about masks; or what `generate` raises.
    """
    config_of_canvas = _renoising_config(model, config)
    check_prompts(model, prompt_ids, attention_mask, config_of_canvas.gen_length)
    vocab_size = vocab_size_of_model(model)
    assert vocab_size is not None
    suppressed = torch.tensor(sorted(set(config.suppressed)), dtype=torch.int64, device=prompt_ids.device)
    if len(suppressed):
        check_ids(model, "suppress_ids", int(suppressed[0]), int(suppressed[-1]))
    denoise = diffusion_gemma(model) if _takes_canvas(model) else whole_rows(model)
    progress = _Progress(prompt_ids, config_of_canvas.gen_length, vocab_size, on_progress)
    ids, num_forwards = generate_by_renoising(
        _without(denoise, suppressed), prompt_ids, config_of_canvas, vocab_size=vocab_size, pad_token_id=pad_token_id,
        attention_mask=attention_mask, row_ids=row_ids, on_step=progress.take,
    )  # fmt: skip
    return progress.end(ids, num_forwards, pad_token_id)


def whole_rows(model: nn.Module) -> Denoise:
    """Return the denoiser that a model is which sees whole rows, the canvas behind the text: BERT and its kind."""
    inner = unwrap_model(model)
    family, positions = family_of(inner), positions_of(model)
    shift = int(family is not None and family.predicts_next)

    @torch.no_grad()
    def denoise(text: Tensor, is_text: Tensor, canvas: Tensor, _previous: Tensor | None) -> Tensor:
        ids = torch.cat([text, canvas], 1)
        is_there = torch.cat([is_text, torch.ones_like(canvas, dtype=torch.bool)], 1).long()
        arguments = {"attention_mask": mask_as_taken(family, is_there, ids, inner.config)}
        if positions.is_argument:
            arguments["position_ids"] = positions.ids_of(is_there)
        with evaluation_mode(model):
            logits: Tensor = model(input_ids=ids, **arguments).logits
        return logits[:, text.shape[1] - shift : ids.shape[1] - shift]

    return denoise


class _Progress:
    """What is written so far, and when each token came to be what it is."""

    def __init__(
        self, prompt_ids: Tensor, length: int, unwritten: int, tell: Callable[[int, Renoised], None]
    ) -> None:  # fmt: skip
        self._start, self._tell, self._num_steps = prompt_ids.shape[1], tell, 0
        self._ids = torch.nn.functional.pad(prompt_ids, (0, length), value=unwritten)
        self._step = torch.full_like(self._ids, -1)
        self._confidence = torch.full(self._ids.shape, -1.0, device=prompt_ids.device)

    def take(self, step: Step) -> None:
        begin = self._start + step.first
        end = min(begin + step.draft.shape[1], self._ids.shape[1])
        draft, own = step.draft[:, : end - begin], slice(begin, end)
        is_new = draft != self._ids[:, own]
        self._ids[:, own] = draft
        self._step[:, own] = torch.where(is_new, self._num_steps, self._step[:, own])
        self._confidence[:, own] = torch.where(is_new, step.confidence[:, : end - begin], self._confidence[:, own])
        self._num_steps += 1
        self._tell(self._num_steps, self._copy(self._num_steps))

    def end(self, ids: Tensor, num_forwards: int, pad_token_id: int) -> Renoised:
        width = self._ids.shape[1]
        ids = torch.nn.functional.pad(ids, (0, max(width - ids.shape[1], 0)), value=pad_token_id)[:, :width]
        is_other = ids != self._ids  # padding behind a stop id
        self._ids, self._step = ids, self._step.masked_fill(is_other, -1)
        self._confidence = self._confidence.masked_fill(is_other, -1)
        return self._copy(num_forwards)

    def _copy(self, num_forwards: int) -> Renoised:
        return Renoised(self._ids.clone(), self._step.clone(), num_forwards, self._confidence.clone())


def _renoising_config(model: nn.Module, config: SamplingConfig) -> RenoisingConfig:
    allowed = (*_SETTINGS, "attention", "block_origin") if _takes_canvas(model) else _SETTINGS
    for field in dataclasses.fields(SamplingConfig):
        if field.name not in allowed and getattr(config, field.name) != field.default:
            raise LiftError(
                f"generate: {field.name} is for models that fill in masks, and {type(unwrap_model(model)).__name__} "
                "rewrites random tokens: leave it out."
            )
    if config.gen_length is None:
        raise LiftError("generate: gen_length must be given: the response length in tokens.")
    own: Any = getattr(getattr(unwrap_model(model), "config", None), "canvas_length", None)
    size = config.block_length or own or config.gen_length
    steps = {} if config.steps is None else {"steps": max(config.steps // math.ceil(config.gen_length / size), 1)}
    return RenoisingConfig(
        gen_length=config.gen_length, canvas_length=size, stop_ids=config.stop_ids, seed=config.seed, **steps
    )


def _takes_canvas(model: nn.Module) -> bool:
    family = family_of(unwrap_model(model))
    return family is not None and family.takes_canvas


def _without(denoise: Denoise, ids: Tensor) -> Denoise:
    """Return `denoise` with no probability for `ids`."""

    def run(text: Tensor, is_text: Tensor, canvas: Tensor, previous: Tensor | None) -> Tensor:
        return denoise(text, is_text, canvas, previous).index_fill(-1, ids, -torch.inf)

    return run

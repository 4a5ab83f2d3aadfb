"""The diffusion sampler: from masks to text, in the order and at the pace of the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, overload
from typing import Literal as L

import torch
from torch import Tensor, nn

from lift.errors import LiftError
from lift.models.evaluation_mode import evaluation_mode
from lift.models.training_record import training_record
from lift.sampling.as_trained import build_config
from lift.sampling.blocks import BlockDecoder
from lift.sampling.config import SamplingConfig
from lift.sampling.denoise import Denoiser
from lift.sampling.layout import lay_out
from lift.sampling.noise import CounterNoise, Noise
from lift.sampling.plan import plan_steps
from lift.sampling.prompts import check_ids, check_prompts, check_row_ids, vocab_size_of_model
from lift.sampling.renoised import Renoised, generate_renoised, writes_by_renoising


class Generation(NamedTuple):
    """What was written, and how."""

    ids: Tensor
    """(B, P + gen_length) int64, as `generate` returns them."""

    unmask_step: Tensor
    """(B, P + gen_length) int64: the forward, from 0, after which a position first held a token; -1 what was given,
    padded or left masked."""

    num_forwards: int
    """Calls of the model."""

    confidence: Tensor
    """(B, P + gen_length) float32: the probability a token had when it was committed, of those it was scored by; -1
    what was given, padded or left masked."""


@overload
def generate(model: nn.Module, prompt_ids: Tensor, *, return_order: L[False] = ..., **settings: Any) -> Tensor: ...
@overload
def generate(model: nn.Module, prompt_ids: Tensor, *, return_order: L[True], **settings: Any) -> Generation: ...


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt_ids: Tensor,
    *,
    config: SamplingConfig | None = None,
    sampler: str | None = None,
    reference_quirks: bool = False,
    attention_mask: Tensor | None = None,
    mask_token_id: int | None = None,
    pad_token_id: int | None = None,
    row_ids: Tensor | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
    on_progress: Callable[[Generation], None] | None = None,
    return_order: bool = False,
    noise: Noise | None = None,
    **settings: Any,
) -> Tensor | Generation:
    """Write an answer behind each prompt, or fill the masks of a text, by iterative unmasking.

    By default the response starts fully masked; each step predicts every masked token of the current block and commits
    those whose most likely token has the highest probability (ties: the lower position); the block's tokens are spread
    evenly over its steps, the remainder going to the first ones. Everything else is a setting: see `SamplingConfig`,
    whose fields are keyword arguments here. `sampler` starts from a published sampler's settings instead.

    The mask token and `suppress_ids` have no probability. Of a model of a known family (`lift_kernels`), patched or
    not, only the rows of the head that are asked about become logits, a few positions at a time; other models are
    asked for their logits.

    A model that was trained in blocks (its configuration says so) is decoded in them: see
    `lift.sampling.as_trained.settings_as_trained`. A `config` is taken as it is.

    A model without a mask token (DiffusionGemma, or one trained with corruption=uniform) writes a canvas of random
    tokens and rewrites it: see `lift.sampling.renoising`. Of the settings gen_length, block_length (of a canvas),
    steps, stop_ids, suppress_ids and seed are then in force, and others are refused.

    A row decodes as it would alone: padding, wherever the attention mask has it, takes no position, and draws are named
    by row id and position. Models that ignore attention masks (LLaDA, LLaDA-MoE), and those with absolute positions
    that take no `position_ids` (DistilBERT before transformers 5), cannot do this, and are refused a batch with
    padding.

    Args:
        model: masked language model of transformers, patched or not; its train or eval mode is restored.
        prompt_ids: (B, P) int64, on the model's device; pad on either side. With infill=True, text with masks.
        config: the settings; by default `SamplingConfig()`.
        sampler: instead, "llada", "lift", "dream", "fast_dllm", "llada2", "llada2.1", "sdar", "dllm" or "bd3lm".
        reference_quirks: with `sampler`, also what its published code does beside its rule.
        attention_mask: (B, P), 1 on the prompt's tokens, 0 on padding; by default all of it is attended to.
        mask_token_id: token id of [MASK]; by default the one in model.config.
        pad_token_id: follows a stop id; by default the one in model.config, or else the first stop id.
        row_ids: (B,) int64, names the draws of each row; by default 0..B-1.
        on_step: called after each step with its number, from 1, and a copy of the (B, P + gen_length) ids so far.
        on_progress: called after each step with the `Generation` so far.
        return_order: return a `Generation`.
        noise: another source of draws than the counter-based generator.
        settings: fields of `SamplingConfig`, such as gen_length, block_length, steps and temperature.

    Returns: (B, P + gen_length) int64, the prompt and the response; with infill (B, P).
    Raises: LiftError, a ValueError, if a setting, a length, a shape, the mask token id or another does not fit, prompt
        and response go beyond the model's positions, or padding would change what the model writes.
    Source: LLaDA, arXiv 2502.09992, section 2.4; the others are named in `lift.sampling.presets`.
    """
    config = _settings(model, config, sampler, reference_quirks, settings)
    if writes_by_renoising(model):
        return _renoised(
            model, prompt_ids, config, attention_mask, pad_token_id, row_ids, on_step, on_progress, return_order, noise
        )
    mask_token_id = _resolve_mask_token_id(model, mask_token_id)
    check_prompts(model, prompt_ids, attention_mask, _num_new_columns(config, prompt_ids))
    if config.eos != "keep" and not config.stop_ids:
        raise LiftError(f"generate: eos={config.eos!r} needs stop_ids, the tokenizer's end tokens.")
    if mask_token_id in config.stop_ids:
        raise LiftError(
            f"generate: stop_ids hold the mask token (id {mask_token_id}), which ends nothing: leave it out."
        )
    length = prompt_ids.shape[1] if config.infill else config.gen_length
    if length is None:
        raise LiftError("generate: gen_length must be given: the response length in tokens.")
    block_length, num_steps = plan_steps(config, length)
    excluded_ids = _excluded_ids(model, mask_token_id, config).to(prompt_ids.device)
    row_ids = check_row_ids(prompt_ids, row_ids)
    canvas = lay_out(prompt_ids, attention_mask, config, length, block_length, mask_token_id)
    noise = CounterNoise(config.seed, row_ids, canvas.first) if noise is None else noise
    step = 0

    def on_commit() -> None:
        nonlocal step
        step += 1
        if on_step is not None:
            on_step(step, canvas.text())
        if on_progress is not None:
            on_progress(written())

    def written() -> Generation:
        return Generation(
            canvas.text(), canvas.read(decoder.unmask_step), denoiser.num_forwards, canvas.read(decoder.confidence)
        )

    with evaluation_mode(model):
        denoiser = Denoiser(model, canvas, config, noise, block_length, mask_token_id, excluded_ids)
        decoder = BlockDecoder(
            canvas, denoiser, config, noise, block_length, num_steps, mask_token_id,
            _resolve_pad_token_id(model, pad_token_id, config), on_commit,
        )  # fmt: skip
        decoder.run()
    return written() if return_order else canvas.text()


def _renoised(
    model: nn.Module, prompt_ids: Tensor, config: SamplingConfig, attention_mask: Tensor | None,
    pad_token_id: int | None, row_ids: Tensor | None, on_step: Callable[[int, Tensor], None] | None,
    on_progress: Callable[[Generation], None] | None, return_order: bool, noise: Noise | None,
) -> Tensor | Generation:  # fmt: skip
    if noise is not None:
        raise LiftError("generate: noise of another source is for models that fill in masks: leave it out.")

    def tell(step: int, written: Renoised) -> None:
        if on_step is not None:
            on_step(step, written.ids)
        if on_progress is not None:
            on_progress(Generation(*written))

    written = generate_renoised(
        model, prompt_ids, config, attention_mask=attention_mask,
        pad_token_id=_resolve_pad_token_id(model, pad_token_id, config), row_ids=row_ids, on_progress=tell,
    )  # fmt: skip
    return Generation(*written) if return_order else written.ids


def _settings(
    model: nn.Module, config: SamplingConfig | None, sampler: str | None, reference_quirks: bool,
    settings: dict[str, Any],
) -> SamplingConfig:  # fmt: skip
    if sampler is not None and config is not None:
        raise LiftError("generate: sampler and config both say how to decode: leave one out.")
    if sampler is None and reference_quirks:
        raise LiftError("generate: reference_quirks are those of a published sampler: set sampler.")
    if config is not None:
        return config.changed(**settings)
    return build_config(sampler, reference_quirks, settings, training_record(model))


def _num_new_columns(config: SamplingConfig, prompt_ids: Any) -> int:
    """Return how many positions a row needs beyond its prompt: blocks counted from its start are written whole."""
    length = 0 if config.infill or config.gen_length is None else config.gen_length
    if config.block_origin == "answer" or not isinstance(prompt_ids, Tensor) or prompt_ids.dim() != 2:
        return length
    total, block_length = prompt_ids.shape[1] + length, config.block_length or max(length, 1)
    return -(-total // block_length) * block_length - prompt_ids.shape[1]


def _excluded_ids(model: nn.Module, mask_token_id: int, config: SamplingConfig) -> Tensor:
    """Return the ids (F,) int64 that have no probability."""
    suppressed = sorted(set(config.suppressed))
    if suppressed:
        check_ids(model, "suppress_ids", suppressed[0], suppressed[-1])
    ids = sorted({*suppressed, *([mask_token_id] if config.mask_token == "never" else [])})
    if len(ids) == vocab_size_of_model(model):
        raise LiftError("generate: suppress_ids leave no token to choose: leave some out.")
    return torch.tensor(ids, dtype=torch.int64)


def _resolve_pad_token_id(model: nn.Module, pad_token_id: int | None, config: SamplingConfig) -> int:
    if pad_token_id is None:
        pad_token_id = getattr(getattr(model, "config", None), "pad_token_id", None)
    if pad_token_id is None:
        return config.stop_ids[0] if config.stop_ids else 0
    check_ids(model, "pad_token_id", pad_token_id, pad_token_id)
    return pad_token_id


def _resolve_mask_token_id(model: nn.Module, mask_token_id: int | None) -> int:
    if mask_token_id is None:
        mask_token_id = getattr(getattr(model, "config", None), "mask_token_id", None)
    if mask_token_id is None:
        raise LiftError(
            "generate: mask_token_id must be given, as model.config has none. Pass tokenizer.mask_token_id."
        )
    check_ids(model, "mask_token_id", mask_token_id, mask_token_id)
    return mask_token_id

"""The diffusion sampler: from a fully masked response to text, the most certain tokens first."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lift.models.attention import mask_as_taken
from lift.models.evaluation_mode import evaluation_mode
from lift.sampling.predict import predict_from_logits, predict_from_token_stats
from lift.sampling.schedule import plan_blocks
from lift_kernels import select_tokens
from lift_kernels.models import family_of, is_patched, unwrap_model


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt_ids: Tensor,
    *,
    gen_length: int,
    mask_token_id: int | None = None,
    block_length: int | None = None,
    steps: int | None = None,
    attention_mask: Tensor | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Decode a response by low-confidence remasking, block after block, at temperature 0.

    The response starts fully masked. Each step predicts every masked token of the current block and commits
    those whose most likely token has the highest probability (ties: the lower position); the others stay
    masked. The block's tokens are spread evenly over its steps, the remainder going to the first ones.

    The mask token is never committed. A position that prefers it competes with its most likely other token,
    whose probability still counts the mask token's share. A model patched by
    `lift_kernels.apply_lift_kernels` gives tokens and probabilities without logits; only a step in which some
    position prefers the mask token, which training makes rare, falls back to logits, so that both ways decode
    alike.

    Args:
        model: masked language model of transformers, patched or not; its train or eval mode is restored.
        prompt_ids: (B, P) int64, on the model's device; pad on the left.
        gen_length: response length in tokens, at least 1.
        mask_token_id: token id of [MASK]; by default the one in model.config.
        block_length: tokens a block, a divisor of gen_length; by default one block.
        steps: forward passes in all, a multiple of the number of blocks and at most gen_length; by default
            gen_length, one token a step.
        attention_mask: (B, P) of 1 and 0 for the prompt; by default all of it is attended to.
        on_step: called after each step with its number, from 1, and a copy of the (B, P + gen_length) ids so
            far.
    Returns: (B, P + gen_length) int64, the prompt and the response.
    Raises: ValueError if a length, the number of steps, a shape or the mask token id does not fit.
    Source: the remasking strategy of LLaDA, arXiv 2502.09992, section 2.4.
    """
    if prompt_ids.dim() != 2 or prompt_ids.dtype != torch.int64:
        raise ValueError(
            f"generate: prompt_ids must be (B, P) int64, got {tuple(prompt_ids.shape)} "
            f"{str(prompt_ids.dtype).removeprefix('torch.')}."
        )
    num_rows, prompt_length = prompt_ids.shape
    if attention_mask is not None and attention_mask.shape != prompt_ids.shape:
        raise ValueError(
            f"generate: attention_mask must have shape {tuple(prompt_ids.shape)} like prompt_ids, "
            f"got {tuple(attention_mask.shape)}."
        )
    mask_token_id = _resolve_mask_token_id(model, mask_token_id)
    block_length, schedule = plan_blocks(gen_length, block_length, steps)

    input_ids = torch.cat([prompt_ids, prompt_ids.new_full((num_rows, gen_length), mask_token_id)], dim=1)
    if attention_mask is not None:
        attention_mask = torch.cat([attention_mask, attention_mask.new_ones(num_rows, gen_length)], dim=1)
    attention_mask = mask_as_taken(family_of(unwrap_model(model)), attention_mask, input_ids)
    predict = predict_from_token_stats if is_patched(model) else predict_from_logits
    order = torch.ones(num_rows, dtype=torch.int64, device=input_ids.device)
    step = 0
    with evaluation_mode(model):
        for start in range(prompt_length, prompt_length + gen_length, block_length):
            block = slice(start, start + block_length)
            is_masked = torch.ones_like(input_ids[:, block], dtype=torch.bool)
            for num_committed in schedule:
                prediction, confidence = predict(model, input_ids, attention_mask, block, is_masked, mask_token_id)
                num_keep = torch.full_like(order, num_committed)
                # No row is random; off the CPU a seed is asked for without looking.
                is_committed = select_tokens(confidence, is_masked, num_keep, order, seed=0)
                input_ids[:, block] = torch.where(is_committed, prediction, input_ids[:, block])
                is_masked = is_masked & ~is_committed
                step += 1
                if on_step is not None:
                    on_step(step, input_ids.clone())
    return input_ids


def _resolve_mask_token_id(model: nn.Module, mask_token_id: int | None) -> int:
    config = getattr(model, "config", None)
    if mask_token_id is None:
        mask_token_id = getattr(config, "mask_token_id", None)
    if mask_token_id is None:
        raise ValueError(
            "generate: mask_token_id must be given, as model.config has none. Pass tokenizer.mask_token_id."
        )
    vocab_size = getattr(config, "vocab_size", None)
    if mask_token_id < 0 or (vocab_size is not None and mask_token_id >= vocab_size):
        raise ValueError(
            f"generate: mask_token_id must be in [0, {vocab_size if vocab_size is not None else 'V'}), "
            f"the model's vocabulary, got {mask_token_id}."
        )
    return mask_token_id

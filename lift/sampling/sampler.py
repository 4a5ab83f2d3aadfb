"""The diffusion sampler: from a fully masked response to text, the most certain tokens first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lift.errors import LiftError
from lift.models.evaluation_mode import evaluation_mode
from lift.sampling.predict import predict_from_logits, predict_from_token_stats
from lift.sampling.prompts import check_ids, check_prompts, model_arguments, pad_on_the_left, vocab_size_of_model
from lift.sampling.schedule import plan_blocks
from lift_kernels import select_tokens
from lift_kernels.models import is_patched


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
    suppress_ids: Sequence[int] | Tensor = (),
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Decode a response by low-confidence remasking, block after block, at temperature 0.

    The response starts fully masked. Each step predicts every masked token of the current block and commits
    those whose most likely token has the highest probability (ties: the lower position); the others stay
    masked. The block's tokens are spread evenly over its steps, the remainder going to the first ones.

    The mask token and `suppress_ids` are never committed. A position that prefers one of them competes with its
    most likely other token, whose probability still counts their share. A model patched by
    `lift_kernels.apply_lift_kernels` gives tokens and probabilities without logits; a step in which some
    positions prefer such a token, which training makes rare, asks again for the logits of these positions alone,
    so that both ways decode alike.

    A row decodes as it would alone: padding, wherever the attention mask has it, takes no position. Models that
    ignore attention masks (LLaDA, LLaDA-MoE), and those with absolute positions that take no `position_ids`
    (DistilBERT before transformers 5), cannot do this, and are refused a batch with padding.

    Args:
        model: masked language model of transformers, patched or not; its train or eval mode is restored.
        prompt_ids: (B, P) int64, on the model's device; pad on either side.
        gen_length: response length in tokens, at least 1.
        mask_token_id: token id of [MASK]; by default the one in model.config.
        block_length: tokens a block, a divisor of gen_length; by default one block.
        steps: forward passes in all, a multiple of the number of blocks and at most gen_length; by default
            gen_length, one token a step.
        attention_mask: (B, P), 1 on the prompt's tokens, 0 on padding; by default all of it is attended to.
        suppress_ids: tokens that are never committed, such as the rows of a padded head that the tokenizer does
            not know (`lift.data.unknown_token_ids`).
        on_step: called after each step with its number, from 1, and a copy of the (B, P + gen_length) ids so
            far.
    Returns: (B, P + gen_length) int64, the prompt and the response.
    Raises: ValueError if a length, the number of steps, a shape, the mask token id or another does not fit, prompt
        and response go beyond the model's positions, or padding would change what the model writes.
    Source: the remasking strategy of LLaDA, arXiv 2502.09992, section 2.4.
    """
    block_length, schedule = plan_blocks(gen_length, block_length, steps)
    check_prompts(model, prompt_ids, attention_mask, gen_length)
    mask_token_id = _resolve_mask_token_id(model, mask_token_id)
    forbidden_ids = _forbidden_ids(model, mask_token_id, suppress_ids).to(prompt_ids.device)

    prompts = pad_on_the_left(prompt_ids, attention_mask)
    (num_rows, prompt_length), mask = prompt_ids.shape, prompts.attention_mask
    input_ids = torch.cat([prompts.input_ids, prompt_ids.new_full((num_rows, gen_length), mask_token_id)], dim=1)
    mask = None if mask is None else torch.cat([mask, mask.new_ones(num_rows, gen_length)], dim=1)
    arguments = model_arguments(model, input_ids, mask)
    predict = predict_from_token_stats if is_patched(model) else predict_from_logits
    order = torch.ones(num_rows, dtype=torch.int64, device=input_ids.device)
    step = 0

    def completed() -> Tensor:
        return torch.cat([prompt_ids, input_ids[:, prompt_length:]], dim=1)

    with evaluation_mode(model):
        for start in range(prompt_length, prompt_length + gen_length, block_length):
            block = slice(start, start + block_length)
            is_masked = torch.ones_like(input_ids[:, block], dtype=torch.bool)
            for num_committed in schedule:
                inputs = {"input_ids": input_ids, **arguments}
                prediction, confidence = predict(model, inputs, block, is_masked, forbidden_ids)
                num_keep = torch.full_like(order, num_committed)
                # No row is random; off the CPU a seed is asked for without looking.
                is_committed = select_tokens(confidence, is_masked, num_keep, order, seed=0)
                input_ids[:, block] = torch.where(is_committed, prediction, input_ids[:, block])
                is_masked = is_masked & ~is_committed
                step += 1
                if on_step is not None:
                    on_step(step, completed())
    return completed()


def _forbidden_ids(model: nn.Module, mask_token_id: int, suppress_ids: Sequence[int] | Tensor) -> Tensor:
    """Return the ids (F,) int64 that are never committed."""
    suppressed = sorted({int(token) for token in suppress_ids})
    if suppressed:
        check_ids(model, "suppress_ids", suppressed[0], suppressed[-1])
    ids = sorted({mask_token_id, *suppressed})
    if len(ids) == vocab_size_of_model(model):
        raise LiftError("generate: suppress_ids leave no token to choose: leave some out.")
    return torch.tensor(ids)


def _resolve_mask_token_id(model: nn.Module, mask_token_id: int | None) -> int:
    if mask_token_id is None:
        mask_token_id = getattr(getattr(model, "config", None), "mask_token_id", None)
    if mask_token_id is None:
        raise LiftError(
            "generate: mask_token_id must be given, as model.config has none. Pass tokenizer.mask_token_id."
        )
    check_ids(model, "mask_token_id", mask_token_id, mask_token_id)
    return mask_token_id

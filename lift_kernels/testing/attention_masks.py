"""Check the form of attention mask that a family is registered with, by what a hidden token can still change."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lift_kernels.models.families import ModelFamily

_ROWS, _LENGTH, _HIDDEN = 2, 8, 3


def masked_inputs(
    family: ModelFamily, vocab_size: int, model: nn.Module, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return random input_ids (2, 8) and, unless the family ignores masks, one that hides the end of the last row."""
    parameter = next(model.parameters())
    input_ids = torch.randint(vocab_size, (_ROWS, _LENGTH), generator=generator).to(parameter.device)
    if family.attention_mask == "ignored":
        return {"input_ids": input_ids}
    return {"input_ids": input_ids, "attention_mask": _mask(family.attention_mask, input_ids, parameter.dtype, _HIDDEN)}


def check_attention_mask(model: nn.Module, family: ModelFamily, input_ids: Tensor, vocab_size: int, name: str) -> None:
    """Raise AssertionError unless the model does with a mask what `family.attention_mask` says.

    A token that is hidden must not change the logits of those that are not; where masks are ignored, one must change
    nothing.
    """
    form, dtype = family.attention_mask, next(model.parameters()).dtype
    hidden = min(_HIDDEN, input_ids.shape[1] - 1)
    if hidden < 1:
        return
    others = input_ids.clone()
    others[-1, -hidden:] = (others[-1, -hidden:] + 1) % vocab_size
    is_ignored = form == "ignored"
    masks = [_mask("tokens" if is_ignored else form, input_ids, dtype, size) for size in (0, hidden)]

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        try:
            with torch.no_grad():
                row: Tensor = model(input_ids=ids, attention_mask=mask).logits[-1, :-hidden]
        except Exception as error:  # a model may refuse a mask in any way
            raise AssertionError(
                f"{name}: the model does not take the attention mask {form!r} that its family is registered with: "
                f"{type(error).__name__} {error}; likely cause: attention_mask is wrong."
            ) from error
        return row

    visible, masked = (logits(input_ids, mask) for mask in masks)
    has_effect = not torch.equal(masked, visible)
    influence = (logits(others, masks[0]) - visible).abs().max()
    leak = (logits(others, masks[1]) - masked).abs().max()
    if has_effect == is_ignored or (leak > influence / 10 and not is_ignored):
        found = "has an effect" if is_ignored else "does not hide what it should"
        raise AssertionError(
            f"{name}: a mask in the form {form!r} that its family is registered with {found}; likely cause: "
            "attention_mask is wrong."
        )


def _mask(form: str, input_ids: Tensor, dtype: torch.dtype, hidden: int) -> Any:
    """A mask in one of the forms of `ATTENTION_MASKS` that hides the last `hidden` tokens of the last row."""
    is_visible = torch.ones_like(input_ids, dtype=torch.bool)
    is_visible[-1, input_ids.shape[1] - hidden :] = False
    if form == "tokens":
        return is_visible.long()
    pairs = is_visible[:, None, None, :].expand(-1, 1, input_ids.shape[1], -1)
    if form == "bool_pairs":
        return pairs.contiguous()
    return torch.zeros_like(pairs, dtype=dtype).masked_fill(~pairs, torch.finfo(dtype).min)

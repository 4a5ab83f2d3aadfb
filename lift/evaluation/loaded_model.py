"""The model under evaluation: a checkpoint, with an adapter where there is one, its tokenizer and their tokens."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any

import torch

from lift.data import end_token_ids, resolve_mask_token_id, unknown_token_ids
from lift.errors import LiftError
from lift.fields import check_choice
from lift.models import loading
from lift.models.attention import why_padding_counts
from lift.models.lora import base_of_adapter, generation_config_of, is_adapter, load_adapter
from lift.sampling.renoised import writes_by_renoising
from lift_kernels import apply_lift_kernels
from lift_kernels.models import family_of, positions_of, unwrap_model, vocab_size_of

logger = logging.getLogger(__name__)

_UNBOUNDED = 2048


@dataclass(frozen=True)
class LoadedModel:
    """A patched model and what is known of its text."""

    model: Any
    tokenizer: Any
    mask_token_id: int
    """Of a model without one the size of its vocabulary, which is no token's id."""

    end_ids: frozenset[int]
    unknown_ids: tuple[int, ...]
    """Ids that no token has, which are never written."""

    @property
    def needs_equal_lengths(self) -> bool:
        """Whether padding would change what the model says, so that only rows of one length share a forward."""
        return why_padding_counts(self.model) is not None

    @property
    def predicts_next(self) -> bool:
        """Whether a token is read from the position before it, so that the first of a row is read from nothing."""
        family = family_of(unwrap_model(self.model))
        return family is not None and family.predicts_next

    @property
    def max_length(self) -> int:
        """Tokens of the longest row: the model's positions, or what it was made for."""
        config = unwrap_model(self.model).config
        limits = (positions_of(self.model).limit, getattr(config, "max_position_embeddings", None))
        return next(
            (int(limit) for limit in (*limits, getattr(config, "max_sequence_length", None)) if limit), _UNBOUNDED
        )


def load(
    pretrained: Any, *, tokenizer: Any = None, peft: str | None = None, dtype: str = "auto",
    trust_remote_code: bool = False, mask_token_id: int | None = None, device: str | None = None,
) -> LoadedModel:  # fmt: skip
    """Load a model to be evaluated, and patch it.

    Args:
        pretrained: folder, Hub id or `package:NAME/FOLDER`; an adapter's folder brings its base, and nothing is
            merged. Or a model, which then needs `tokenizer`.
        tokenizer: name or tokenizer; by default the model's.
        peft: folder of an adapter to put into `pretrained`.
        dtype: "float32", "bfloat16", "float16", or "auto" for that of the weights.
        trust_remote_code: run Python code that comes with the checkpoint.
        mask_token_id: by default the one trained with.
        device: by default the accelerator of this process, if there is one.

    Raises: LiftError if nothing can be loaded, or the model is of no known family.
    """
    check_choice("dtype", dtype, loading.DTYPES)
    if isinstance(pretrained, str):
        if tokenizer is None or isinstance(tokenizer, str):
            tokenizer = loading.load_tokenizer(tokenizer or pretrained, trust_remote_code=trust_remote_code)
        adapters = [folder for folder in (pretrained if is_adapter(pretrained) else None, peft) if folder]
        base = base_of_adapter(pretrained) if is_adapter(pretrained) else pretrained
        model = loading.load_model(base, dtype=loading.DTYPES[dtype], trust_remote_code=trust_remote_code)
        generation_config = generation_config_of(pretrained)
        if len(adapters) > 1:
            raise LiftError("pretrained is an adapter's folder and peft names another: leave one out.")
        for folder in adapters:
            model = load_adapter(model, folder)
        model.to(_device(device))
    else:
        model, generation_config = pretrained, getattr(pretrained, "generation_config", None)
        if tokenizer is None or isinstance(tokenizer, str):
            raise LiftError("a model that is loaded already needs its tokenizer: pass tokenizer.")
    apply_lift_kernels(model)
    inner = unwrap_model(model)
    vocab_size = vocab_size_of(inner.get_output_embeddings())
    if writes_by_renoising(model):
        mask_token_id = vocab_size
    else:
        mask_token_id = resolve_mask_token_id(tokenizer, mask_token_id, config=inner.config, vocab_size=vocab_size)
    return LoadedModel(
        model, tokenizer, mask_token_id,
        end_token_ids(tokenizer, generation_config) - {mask_token_id},
        tuple(unknown_token_ids(tokenizer, vocab_size)),
    )  # fmt: skip


def _device(name: str | None) -> torch.device:
    """Return the device of this process: of several, each has the one of its number, whatever number was named."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device = found or torch.device("cpu") if name in (None, "auto") else torch.device(str(name))
    if device.type == "cpu":
        return device
    if found is None or found.type != device.type:
        logger.warning("%s is asked for, as lm_eval does by itself, and is not there: the CPU computes", device)
        return torch.device("cpu")
    is_alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    number = device.index if is_alone and device.index is not None else int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device(device.type, number)

"""How a model numbers the tokens of a row, and how many it has numbers for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# What the table of learned positions is called beside the table of tokens: BERT's and XLM's, RoFormer's, GPT's.
_TABLES = ("position_embeddings", "embed_positions", "wpe")


@dataclass(frozen=True)
class Positions:
    """The positions of a model: absolute ones of a table, no more than its rows, or any number of relative ones."""

    limit: int | None = None
    """Most tokens of a row, or None where the model has no limit."""

    source: str = "max_position_embeddings"
    """The field of the configuration that the limit comes from."""

    is_table: bool = False
    """Positions are absolute: a row that is moved to the right has others."""

    first: int = 0
    """The number of a row's first token."""

    skips_pads: bool = False
    """Left alone, the model numbers the tokens that are not its pad token, as RoBERTa does."""

    is_argument: bool = False
    """The model takes `position_ids`."""

    def ids_of(self, attention_mask: Tensor) -> Tensor:
        """Return `position_ids` (B, L) int64 that number the tokens of a mask (B, L), 1 where a token counts.

        Tokens that do not count have numbers too, which nobody sees.
        """
        return (attention_mask.long().cumsum(1) - 1).clamp_(min=0) + self.first


def find_positions(model: Any) -> Positions:
    """Return how an unwrapped model numbers the tokens of a row, from its modules and its configuration.

    A table of positions is one that lies beside the table of tokens. In RoBERTa and all that follow it (XLM-RoBERTa,
    CamemBERT, XLM-RoBERTa-XL, Data2Vec, MPNet, Longformer, ESM, ...) it has a `padding_idx`, behind which numbers
    start; in BERT and its kind it has none.
    """
    is_argument = "position_ids" in inspect.signature(type(model).forward).parameters
    owner, table = _find_table(model)
    if table is None:
        limit = getattr(getattr(model, "config", None), "max_sequence_length", None)  # LLaDA's code
        return Positions(limit, "max_sequence_length", is_argument=is_argument)
    skips_pads = table.padding_idx is not None
    first = table.padding_idx + 1 if skips_pads else _first_of(owner)
    return Positions(
        table.num_embeddings - first, is_table=True, first=first, skips_pads=skips_pads, is_argument=is_argument
    )


def _find_table(model: Any) -> tuple[Any, Any]:
    """Return the table of positions and the module that holds it, or None twice."""
    try:
        tokens = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None, None
    for owner in model.modules():
        children = dict(owner.named_children())
        if any(child is tokens for child in children.values()):
            for name in _TABLES:
                if getattr(children.get(name), "num_embeddings", None) is not None:
                    return owner, children[name]
    return None, None


def _first_of(owner: Any) -> int:
    """Return where the module's own numbers start: at 2 in Nystroemformer and its like."""
    ids = getattr(owner, "position_ids", None)
    if not isinstance(ids, Tensor) or ids.numel() == 0 or ids.is_meta or ids.dtype is not torch.int64:
        return 0
    return int(ids.flatten()[0])

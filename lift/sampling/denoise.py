"""One forward of the model: which columns it is fed, what it may see, and a proposal for each position asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from lift.models.attention import mask_as_taken, pairs_as_taken
from lift.models.positions import position_ids_for
from lift.sampling.config import SamplingConfig
from lift.sampling.guidance import guide, unguided_ids
from lift.sampling.heads import Head, Reader, read_logits, read_states
from lift.sampling.layout import Canvas
from lift.sampling.noise import Noise
from lift.sampling.one_pass import Proposal
from lift.sampling.proposal import propose
from lift_kernels.models import family_of, positions_of, unwrap_model

if TYPE_CHECKING:
    from lift.sampling.cache import KeptKeys

Result = TypeVar("Result")


class Denoiser:
    """A model and what stays the same from step to step.

    Args:
        model: in evaluation mode.
        canvas: what it reads.
        config, noise: the settings and the draws.
        block_length: of attention that is block-causal.
        mask_token_id: masks the given text where there is guidance.
        excluded_ids: (F,) int64, never proposed.
    """

    def __init__(
        self, model: nn.Module, canvas: Canvas, config: SamplingConfig, noise: Noise, block_length: int,
        mask_token_id: int, excluded_ids: Tensor,
    ) -> None:  # fmt: skip
        self.num_forwards = 0
        self._model, self._canvas, self._config, self._noise = model, canvas, config, noise
        self._block_length, self._mask_token_id, self._excluded_ids = block_length, mask_token_id, excluded_ids
        self._family, self._positions = family_of(unwrap_model(model)), positions_of(model)
        predicts_next = self._family is not None and self._family.predicts_next
        self._shift = config.shift or ("repeat" if predicts_next else "none")
        self._width = canvas.ids.shape[1]
        self._num_stored = 0
        keep = torch.tensor(config.unconditional_keep_ids, dtype=torch.int64, device=canvas.ids.device)
        self._is_given = (canvas.ids != mask_token_id) & canvas.is_there & ~torch.isin(canvas.ids, keep)
        self._caches: list[KeptKeys] = []
        if config.cache is not None:
            from lift.sampling.cache import new_cache

            self._caches = [new_cache(model) for _ in range(1 + (config.guidance_scale > 0))]

    def store(self, end: int) -> None:
        """Keep the keys and values of finished blocks, up to a column."""
        if end > self._num_stored:
            nothing = self._canvas.first[:0]
            for branch in range(len(self._caches)):
                self._call([branch], (self._num_stored, end), end, nothing, lambda rows, _: rows, keep=True)
            self._num_stored = end

    def propose(self, block: tuple[int, int], block_index: int, step: int, is_wanted: Tensor) -> Proposal:
        """Return a proposal of (B, T) each; meaningful where wanted (B, T) bool, and fed to the model."""
        start, end = block
        is_causal, cache = self._config.attention == "block_causal", self._config.cache
        # What predicts the block's first token stands before it.
        before = max(0, start - (self._shift != "none"))
        keep = cache is not None and not is_causal and step == 0
        if is_causal:
            if cache is not None:
                self.store(start)
            window, num_keys = (0 if cache is None else before, end), end
        else:
            is_full = cache is None or keep
            window = (0, self._width) if is_full else (before, end if cache == "dual" else self._width)
            num_keys = self._width
        if window[0] > 0:
            is_wanted = is_wanted & (torch.arange(self._width, device=is_wanted.device) >= start)
        row, column = is_wanted.nonzero(as_tuple=True)
        read, is_zero = column, torch.zeros_like(column, dtype=torch.bool)
        if self._shift != "none":
            is_first = column == self._canvas.first[row]
            read, is_zero = torch.where(is_first, column, column - 1), is_first & (self._shift == "zeros")
        index = row * (window[1] - window[0]) + read - window[0]
        self._noise.begin(self.num_forwards + 1, block_index, step)

        # Masks and padding, which repeat nothing, hold the mask token.
        held_ids = self._canvas.ids.masked_fill(~self._canvas.is_there, self._mask_token_id)

        def made_of(rows: Tensor, head: Head) -> Proposal:
            return propose(rows, head, row, column, is_zero, self._config, self._noise, self._excluded_ids, held_ids)

        found = self._guided(window, num_keys, index, made_of, keep)
        nothing = (values.new_zeros(self._canvas.ids.shape) for values in found)
        return Proposal(*(old.index_put((row, column), new) for old, new in zip(nothing, found, strict=True)))

    def _guided(
        self, window: tuple[int, int], num_keys: int, index: Tensor, reader: Reader[Proposal], keep: bool
    ) -> Proposal:
        scale = self._config.guidance_scale
        if scale == 0:
            return self._call([0], window, num_keys, index, reader, keep=keep)
        if self._caches:
            # Each has its own cache, and so its own forward.
            unguided = self._call([1], window, num_keys, index, lambda rows, _: rows.clone(), keep=keep)
            return self._call(
                [0], window, num_keys, index, lambda rows, head: reader(*guide(rows, unguided, head, scale)), keep=keep
            )
        size = len(self._canvas.ids) * (window[1] - window[0])

        def read(rows: Tensor, head: Head) -> Proposal:
            with_text, without = rows.chunk(2)
            return reader(*guide(with_text, without, head, scale))

        return self._call([0, 1], window, num_keys, torch.cat([index, index + size]), read)

    def _call(
        self, branches: list[int], window: tuple[int, int], num_keys: int, index: Tensor, reader: Reader[Result],
        *, keep: bool = False,
    ) -> Result:  # fmt: skip
        ids = self._canvas.ids
        versions = [unguided_ids(ids, self._is_given, self._mask_token_id) if branch else ids for branch in branches]
        arguments = self._arguments(window, num_keys)
        inputs: dict[str, Any] = {"input_ids": torch.cat(versions)[:, window[0] : window[1]]}
        for name, value in arguments.items():
            inputs[name] = _repeated(value, len(branches))
        self.num_forwards += 1
        read = read_logits if self._family is None else read_states
        if not self._caches:
            return read(self._model, inputs, index, reader)
        cache = self._caches[branches[0]]
        inputs |= cache.begin(*window, keep=keep)
        return read(self._model, inputs, index, reader, cache.look)

    def _arguments(self, window: tuple[int, int], num_keys: int) -> dict[str, Any]:
        start, end = window
        mask, ids = self._canvas.attention_mask, self._canvas.ids
        position_ids = position_ids_for(self._positions, ids, mask)
        if position_ids is None and self._positions.is_argument and self._caches:
            position_ids = torch.arange(self._width, device=ids.device).expand(ids.shape)
        taken: Any
        if self._config.attention == "block_causal":
            taken = pairs_as_taken(self._model, self._pairs(window, num_keys))
        else:
            taken = mask_as_taken(self._family, mask, ids, getattr(unwrap_model(self._model), "config", None))
            if isinstance(taken, Tensor) and taken.dim() == 4:
                taken = taken[:, :, start:end]
        found = {} if position_ids is None else {"position_ids": position_ids[:, start:end]}
        return found | {"attention_mask": taken}

    def _pairs(self, window: tuple[int, int], num_keys: int) -> Tensor:
        """Return (B, 1, queries, keys) bool: a token sees its block and those before; padding itself, for a softmax."""
        key = torch.arange(num_keys, device=self._canvas.ids.device)
        query = key[window[0] : window[1], None]
        is_seen = key // self._block_length <= query // self._block_length
        return ((is_seen & self._canvas.is_there[:, None, :num_keys]) | (query == key))[:, None]


def _repeated(value: Any, times: int) -> Any:
    if isinstance(value, dict):
        return {name: _repeated(one, times) for name, one in value.items()}
    return torch.cat([value] * times) if isinstance(value, Tensor) and times > 1 else value

"""How a loaded model is decoded: as somebody says, and else as it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lift.evaluation.loaded_model import LoadedModel
from lift.models.training_record import training_record
from lift.sampling import SamplingConfig
from lift.sampling.as_trained import build_config, how_decoded
from lift.sampling.exact_cache import has_exact_cache


class Decoding(NamedTuple):
    """Settings, and what there is to say of them."""

    config: SamplingConfig

    remark: str | None
    """A sentence, where the training decided."""


def decoding_of(
    loaded: LoadedModel, given: Mapping[str, Any], *, sampler: str | None = None, reference_quirks: bool = False
) -> Decoding:
    """Return how to decode a model.

    One that was trained in blocks is decoded in them, and with a cache where its code keeps finished blocks exactly.

    Args:
        loaded: the model.
        given: fields of `SamplingConfig` that somebody chose.
        sampler, reference_quirks: a published sampler's settings to start from.

    Raises: LiftError where settings do not fit together.
    """
    record = training_record(loaded.model)
    config = build_config(sampler, reference_quirks, given, record)
    remark = how_decoded(config, record, given)
    if remark is not None and sampler is None and "cache" not in given:
        if has_exact_cache(loaded.model, loaded.mask_token_id):
            config = config.changed(cache="prefix")
    return Decoding(config, remark)

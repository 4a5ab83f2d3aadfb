"""The flags of `lift sample` that say how to decode: one for each field of `SamplingConfig`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lift.cli.parser import SentenceParser
from lift.errors import LiftError
from lift.sampling.as_trained import build_config
from lift.sampling.config import SamplingConfig
from lift.sampling.plan import plan_steps
from lift.sampling.presets import PRESETS

_NO_CACHE = "none"


def add_sampling_flags(parser: SentenceParser) -> None:
    """Add `--sampler`, `--reference_quirks`, and a flag for each setting; those not given leave no value."""
    parser.add_argument(
        "--sampler", choices=tuple(PRESETS), default=None,
        help=f"start from a published sampler's settings: {', '.join(PRESETS)}",
    )  # fmt: skip
    parser.add_switch("reference_quirks", "with --sampler, also what its code does beside its rule")
    hints = get_type_hints(SamplingConfig)
    for field in dataclasses.fields(SamplingConfig):
        options = _options(hints[field.name], field.metadata.get("within"))
        text = field.metadata["help"]
        if "choices" in options:
            text += f" One of {', '.join(options['choices'])}."
        if field.default not in (None, (), False):
            text += f" By default {field.default}."
        parser.add_argument(f"--{field.name}", default=argparse.SUPPRESS, help=text.replace("%", "%%"), **options)


def sampling_config(options: Any, record: Mapping[str, str]) -> SamplingConfig:
    """Return the settings of the parsed flags, on those that a model's training left in its `record`.

    Raises: LiftError where they do not fit together, or a length that is given does not divide into blocks and steps.
    """
    try:
        if options.sampler is None and options.reference_quirks:
            raise LiftError("--reference_quirks are those of a published sampler: add --sampler.")
        config = build_config(options.sampler, options.reference_quirks, given_settings(options), record)
        if config.gen_length is not None:
            plan_steps(config, config.gen_length)
    except ValueError as error:
        raise LiftError(str(error).removeprefix("generate: ")) from None
    return config


def given_settings(options: Any) -> dict[str, Any]:
    """Return the fields of `SamplingConfig` for which the parsed flags have a value."""
    names = {field.name for field in dataclasses.fields(SamplingConfig)}
    given = {name: value for name, value in vars(options).items() if name in names}
    return given | ({"cache": None} if given.get("cache") == _NO_CACHE else {})


def _options(hint: Any, within: str | None) -> dict[str, Any]:
    """Return what argparse needs to know of a field's type."""
    # A Literal and None make the older kind of union.
    kind = next(iter(get_args(hint))) if get_origin(hint) in (UnionType, Union) else hint
    if get_origin(kind) is Literal:
        return {"choices": (*get_args(kind), _NO_CACHE) if "prefix" in get_args(kind) else get_args(kind)}
    if get_origin(kind) is tuple:
        return {"type": int, "nargs": "+", "metavar": "ID"}
    if kind is bool:
        return {"type": _truth, "nargs": "?", "const": True, "metavar": "BOOL"}
    return {"type": kind, "within": within}


def _truth(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {word!r}")
    return word.lower() == "true"

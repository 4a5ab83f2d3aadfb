"""The flags of `lift sample` that say how to decode: one for each field of `SamplingConfig`."""

from __future__ import annotations

import argparse
import dataclasses
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lift.cli.parser import SentenceParser
from lift.errors import LiftError
from lift.sampling.config import SamplingConfig
from lift.sampling.plan import plan_steps
from lift.sampling.presets import PRESETS, preset


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
            text += f" One of {', '.join(filter(None, options['choices']))}."
        if field.default not in (None, (), False):
            text += f" By default {field.default}."
        parser.add_argument(f"--{field.name}", default=argparse.SUPPRESS, help=text.replace("%", "%%"), **options)


def sampling_config(options: Any) -> SamplingConfig:
    """Return the settings of the parsed flags.

    Raises: LiftError where they do not fit together, or a length that is given does not divide into blocks and steps.
    """
    given = given_settings(options)
    try:
        if options.sampler is not None:
            config = preset(options.sampler, reference_quirks=options.reference_quirks, **given)
        elif options.reference_quirks:
            raise LiftError("--reference_quirks are those of a published sampler: add --sampler.")
        else:
            config = SamplingConfig(**given)
        if config.gen_length is not None:
            plan_steps(config, config.gen_length)
    except ValueError as error:
        raise LiftError(str(error).removeprefix("generate: ")) from None
    return config


def given_settings(options: Any) -> dict[str, Any]:
    """Return the fields of `SamplingConfig` for which the parsed flags have a value."""
    names = {field.name for field in dataclasses.fields(SamplingConfig)}
    return {name: value for name, value in vars(options).items() if name in names}


def _options(hint: Any, within: str | None) -> dict[str, Any]:
    """Return what argparse needs to know of a field's type."""
    kinds = [kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if kind is not type(None)]
    kind = kinds[0]
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    if get_origin(kind) is tuple:
        return {"type": int, "nargs": "+", "metavar": "ID"}
    if kind is bool:
        return {"type": _truth, "nargs": "?", "const": True, "metavar": "BOOL"}
    return {"type": kind, "within": within}


def _truth(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {word!r}")
    return word.lower() == "true"

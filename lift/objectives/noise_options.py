"""`NoiseOptions`: what a corrupted token becomes, and what is trained of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lift.errors import LiftError
from lift.fields import option
from lift.objectives.methods import METHODS


@dataclass
class NoiseOptions:
    """Noise with a mask token or without. Whoever takes them calls `check_noise_options`."""

    corruption: Literal["mask", "uniform"] = option(
        "mask",
        "What a corrupted token becomes: the mask token, or any token of the vocabulary (uniform), for models without "
        "a mask token.",
    )
    loss_positions: Literal["corrupted", "all"] = option(
        "corrupted",
        "With corruption=uniform and time_scaling=False: train the corrupted tokens that the method chose, or all of "
        "the response (all), so that the model also learns what to leave alone.",
    )


def check_noise_options(options: Any) -> None:
    """Check how these fields of `LiftOptions` go with the others.

    Raises:
        LiftError: two do not go together; the sentence names them.
    """
    if options.corruption == "uniform":
        for name, none in (("exclude_mask_token", False), ("mask_token_id", None)):
            if getattr(options, name) != none:
                raise LiftError(f"{name}={getattr(options, name)} is of corruption=mask: leave it out.")
    if options.loss_positions == "corrupted":
        return
    if options.corruption == "mask":
        raise LiftError("loss_positions=all would train visible tokens, which are known: set corruption=uniform too.")
    if options.time_scaling:
        raise LiftError("loss_positions=all weighs all tokens alike: set time_scaling=False.")
    if METHODS[options.method].own_weights or options.one_forward:
        what = "one_forward" if options.one_forward else f"method={options.method!r}"
        raise LiftError(f"{what} weighs the tokens that it chose: set loss_positions=corrupted.")
    if options.score_source == "cache":
        raise LiftError("score_source=cache would learn from tokens that were not corrupted: use score_source=model.")

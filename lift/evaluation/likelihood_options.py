"""The options of likelihoods, with their ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lift.fields import check_fields, option


@dataclass(frozen=True)
class LikelihoodOptions:
    """How the likelihood of a continuation is estimated."""

    estimator: Literal["antithetic", "published"] = option(
        "antithetic", "Unbiased pairs of sets with a standard error, or LLaDA's, which is biased."
    )
    num_forwards: int = option(
        128,
        "Sets to mask for each continuation; where this many are all there are, the sum is exact.",
        within="[1, inf)",
    )
    num_replicates: int = option(8, "Independent estimates, whose spread is the standard error.", within="[2, inf)")
    published_batch_size: int = option(
        8, "The published estimator's batch, which its sizes depend on.", within="[1, inf)"
    )
    greedy_check: bool = option(True, "Say whether greedy decoding would write the continuation.")

    def __post_init__(self) -> None:
        check_fields(self, LikelihoodOptions)

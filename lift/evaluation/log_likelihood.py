"""`LogLikelihood`: an estimate and how far to trust it."""

from __future__ import annotations

from typing import NamedTuple


class LogLikelihood(NamedTuple):
    """What the forwards say of a continuation, in nats."""

    value: float

    standard_error: float | None
    """0 where every set was summed; None of the published estimator, whose draws hang together. A 95 % interval is the
    value plus or minus this times the t quantile with `num_replicates` - 1 degrees of freedom."""

    num_replicates: int
    num_forwards: int

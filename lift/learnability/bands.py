"""Bands of token frequency: tenfold steps of the share of a data set's responses that a token makes up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BANDS = ("above 10 %", "1 to 10 %", "0.1 to 1 %", "0.01 to 0.1 %", "below 0.01 %")
STEPS = 3
"""Steps of the heat map to a band."""


def band_of(frequency: NDArray[np.int64], num_tokens: int, *, steps: int = 1) -> NDArray[np.int64]:
    """Return the band (N,) of tokens by how often they occur (N,) among `num_tokens`, the most frequent first.

    With `steps` each tenfold step is cut into as many equal ones, on the logarithm.
    """
    orders = -np.log10(frequency / num_tokens)
    last = len(BANDS) * steps - 1
    return np.clip(np.floor(orders * steps), 0, last).astype(np.int64)

"""Random streams by name: what is drawn for one purpose moves nothing that is drawn for another."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator


def stream(*names: object) -> Generator:
    """Return the generator of these names, such as ("train", "fsa", 0, 3)."""
    return np.random.default_rng(list("/".join(map(str, names)).encode()))


def seed_of(*names: object) -> int:
    """Return a seed in [0, 2^31), a function of these names."""
    return int(stream(*names).integers(2**31))

from __future__ import annotations

import numpy as np

from lift.learnability.bands import BANDS, STEPS, band_of


def test_bands_are_tenfold_steps_of_the_share():
    frequency = np.array([5000, 1000, 999, 101, 100, 11, 1])
    assert band_of(frequency, 10_000).tolist() == [0, 1, 1, 1, 2, 2, 4]
    assert band_of(np.array([1]), 10**9).tolist() == [len(BANDS) - 1]


def test_steps_cut_a_band():
    frequency = np.arange(1, 10_001)
    steps = band_of(frequency, 10_000, steps=STEPS)
    assert np.array_equal(steps // STEPS, band_of(frequency, 10_000)) and set(np.diff(steps)) == {0, -1}

"""The file of measured variances."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lift.analysis import GradientVariance, VarianceRecord
from lift.errors import LiftError
from tests.lift.support.gradient_variance import SETTINGS

MOMENTS = [[9.0, 4.0, 3.0, 1.0], [11.0, 4.0, 3.0, -0.5]]


def test_what_was_written_is_read(tmp_path):
    record = VarianceRecord(SETTINGS, {"sft": GradientVariance(MOMENTS), "lift3": GradientVariance(MOMENTS[:1] * 2)})
    path = record.write(tmp_path)
    read = VarianceRecord.read(tmp_path)
    assert read.settings == SETTINGS and list(read.methods) == ["sft", "lift3"]
    assert np.array_equal(read.methods["sft"].moments, MOMENTS)
    written = json.loads(path.read_text())["methods"]["sft"]["estimates"]
    assert written["masks"]["value"] == 6.0 and written["masks"]["interval"] == [5.0, 7.0]
    assert written["total"]["value"] == 9.75 and written["noise_scale"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["variance.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "methods": {"sft": {}}}'])
def test_a_damaged_file_is_one_sentence(tmp_path, text):
    assert VarianceRecord.read(tmp_path) is None
    (tmp_path / "variance.json").write_text(text)
    with pytest.raises(LiftError, match="is damaged: delete it, and measure again with --variance"):
        VarianceRecord.read(tmp_path)

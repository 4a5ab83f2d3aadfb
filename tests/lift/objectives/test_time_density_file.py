"""The file of a density: written and read again, and every way in which it may hold none."""

from __future__ import annotations

import json

import pytest

from lift.errors import LiftError
from lift.objectives.time_density_file import DensityPoints, read_time_density, write_time_density

GOOD = {"format": 1, "points": [0, 0.5, 1], "density": [2, 1, 0.5], "time_range": [0.001, 1]}


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "density.json"
    found = DensityPoints((0.0, 1 / 3, 1.0), (0.1, 1.7, 1.1), (1e-3, 1.0))
    write_time_density(path, found, {"model": "örtlich", "measured": {"mean": [1.5]}})
    assert read_time_density(path) == found
    assert json.loads(path.read_text("utf-8"))["model"] == "örtlich"
    assert [file.name for file in tmp_path.iterdir()] == ["density.json"]


def test_a_file_of_ones_own_need_not_say_when_it_was_measured(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"format": 1, "points": [0, 1], "density": [1, 3]}')
    assert read_time_density(str(path)) == DensityPoints((0.0, 1.0), (1.0, 3.0), None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("not JSON", "it is no JSON object"),
        ("[1, 2]", "it is no JSON object"),
        ({"format": 2}, "its format is 2, and this version reads 1"),
        ({"points": [0, 1]}, "points and density must be as many finite numbers, at least two"),
        ({"points": [0], "density": [1]}, "at least two"),
        ({"points": "011"}, "finite numbers"),
        ({"density": [1, None, 1]}, "finite numbers"),
        ({"density": [1, float("nan"), 1]}, "finite numbers"),
        ({"points": [0.1, 0.5, 1]}, "points must ascend from 0 to 1"),
        ({"points": [0, 0.5, 0.9]}, "points must ascend from 0 to 1"),
        ({"points": [0, 0, 1]}, "points must ascend from 0 to 1"),
        ({"density": [1, 0, 1]}, "density must be above 0 everywhere"),
        ({"time_range": [0.8, 0.3]}, "time_range must be the lowest and the highest time"),
        ({"time_range": [0, 1]}, "time_range must be the lowest"),
    ],
)
def test_what_holds_no_density_is_one_sentence(tmp_path, change, words):
    path = tmp_path / "density.json"
    path.write_text(change if isinstance(change, str) else json.dumps(GOOD | change))
    with pytest.raises(LiftError, match=f"time_density {path} holds no density of times: .*{words}"):
        read_time_density(path)


def test_what_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(LiftError, match=r"none.json cannot be read: No such file or directory: name a file of lift"):
        read_time_density(tmp_path / "none.json")

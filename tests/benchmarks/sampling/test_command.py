"""The command, and that both ways propose what they should."""

from __future__ import annotations

import json

import torch

from benchmarks.sampling import __main__ as command
from benchmarks.sampling.__main__ import SETTINGS, SMOKE_SIZES, WAYS, build


def test_the_command_writes_a_row_for_each_setting_and_way(tmp_path, capsys, monkeypatch):
    def here(setting, way, options):
        assert options.smoke
        return command.measure(setting, way, SMOKE_SIZES)

    monkeypatch.setattr(command, "_in_a_process", here)
    command.main(["--smoke", "--output", str(tmp_path)])
    (path,) = tmp_path.glob("*-cpu-sampling-smoke.json")
    rows = json.loads(path.read_text())["rows"]
    assert [(row["setting"], row["way"]) for row in rows] == [(setting, way) for setting in SETTINGS for way in WAYS]
    assert all(row["ms"] > 0 for row in rows) and str(path) in capsys.readouterr().out


def test_both_ways_take_the_most_likely_token_and_its_probability():
    (token, log_prob), (other_token, other) = (build("temperature 0", way, SMOKE_SIZES)() for way in WAYS)
    assert torch.equal(token, other_token)
    torch.testing.assert_close(log_prob, other, rtol=1e-5, atol=1e-5)


def test_a_process_of_its_own_measures_one_variant(capsys):
    command.main(["--smoke", "--threads", str(torch.get_num_threads()), "--variant", "temperature 1", "linear_sample"])
    assert json.loads(capsys.readouterr().out)["ms"] > 0

from __future__ import annotations

import pytest
from PIL import Image

from benchmarks.harness.json_record import append_line
from benchmarks.study.domains import DOMAINS
from benchmarks.study.plan import FULL
from benchmarks.study.report import write_report
from benchmarks.study.results import open_session, results_path
from lift.errors import LiftError
from tests.benchmarks.study.lines import made_lines


def test_a_report_has_every_setting_and_its_figures(tmp_path):
    open_session(tmp_path, FULL, "python -m benchmarks.study")
    lines = made_lines({("fsa", "hard"): 0.1})
    results_path(tmp_path).open("a").close()
    for line in lines[:15] + [line for line in lines[15:] if line["job"]["start"] < 2 and line["job"]["seed"] < 2]:
        append_line(results_path(tmp_path), line)
    text = write_report(tmp_path, DOMAINS["tasks"], FULL).read_text(encoding="utf-8")
    assert all(f"\n## {setting}\n" in text for setting in FULL.settings)
    assert text.count("\n| hard - sft_x1.34 |") == text.count("\n| hard - lift3 |") == 4
    assert "torch" in text and " of 780 runs" in text
    pictures = [tmp_path / name for name in ("differences.png", "answers-by-steps.png", "nll-against-answers.png")]
    assert all(f"]({path.name})" in text for path in pictures)
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1 << 20)) > 50  # not blank


def test_without_runs_there_is_no_report(tmp_path):
    with pytest.raises(LiftError, match="holds no run"):
        write_report(tmp_path, DOMAINS["tasks"], FULL)

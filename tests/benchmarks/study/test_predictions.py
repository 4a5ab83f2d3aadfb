from __future__ import annotations

from pathlib import Path

import benchmarks.study
from benchmarks.study.comparisons import OUTCOMES
from benchmarks.study.methods import METHODS
from benchmarks.study.plan import FULL
from benchmarks.study.predictions import PREDICTIONS


def test_predictions_are_those_of_the_protocol():
    protocol = (Path(benchmarks.study.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
    table = protocol.partition("## Predictions\n")[2].partition("\n## ")[0].strip().splitlines()[2:]
    rows = []
    for prediction in PREDICTIONS:
        of = prediction.comparison
        name = f"{of.method} - {of.against}" + (" (**primary**)" if prediction.is_primary else "")
        predicted = prediction.verdict + (f" ({prediction.explored})" if prediction.explored else "")
        cells = (of.setting, OUTCOMES[of.outcome].name, name, predicted, f"{prediction.confidence} %")
        rows.append(f"| {' | '.join(cells)} |")
    assert table == rows


def test_predictions_are_about_what_is_run():
    for prediction in PREDICTIONS:
        assert prediction.comparison.setting in FULL.settings
        assert {prediction.comparison.method, prediction.comparison.against} <= set(METHODS)

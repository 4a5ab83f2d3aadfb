from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks.study
from benchmarks.study.comparisons import OUTCOMES
from benchmarks.study.domains import DOMAINS

HEADINGS = {"tasks": "## Predictions", "sapiens": "### Predictions for Sapiens"}


@pytest.mark.parametrize("name", DOMAINS)
def test_predictions_are_those_of_the_protocol(name):
    protocol = (Path(benchmarks.study.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
    lines = protocol.partition(f"\n{HEADINGS[name]}\n")[2].lstrip("\n").splitlines()
    table = lines[2 : lines.index("")]
    rows = []
    for prediction in DOMAINS[name].predictions:
        of = prediction.comparison
        comparison = f"{of.method} - {of.against}" + (" (**primary**)" if prediction.is_primary else "")
        predicted = prediction.verdict + (f" ({prediction.explored})" if prediction.explored else "")
        cells = (of.setting, OUTCOMES[of.outcome].name, comparison, predicted, f"{prediction.confidence} %")
        rows.append(f"| {' | '.join(cells)} |")
    assert table == rows


@pytest.mark.parametrize("name", DOMAINS)
def test_predictions_are_about_what_is_run(name):
    domain = DOMAINS[name]
    for prediction in domain.predictions:
        assert prediction.comparison.setting in domain.full.settings
        assert prediction.comparison.outcome in domain.outcomes
        assert {prediction.comparison.method, prediction.comparison.against} <= set(domain.full.methods)

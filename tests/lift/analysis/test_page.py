"""The report, in a real browser where the machine has one."""

from __future__ import annotations

import shutil

import pytest

from lift.analysis import AnalysisTable, VarianceRecord, write_report
from lift.analysis.page import page_data
from lift.analysis.summary import gain, summarise
from lift.analysis.variance_figure import HEADER
from lift.tasks import sudoku
from tests.lift.support.gradient_variance import record_of


@pytest.fixture(scope="module")
def other(make_table, tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("other"), model_seed=1)


@pytest.fixture(scope="module")
def comparison(table, other, tmp_path_factory):
    return write_report([table, other], tmp_path_factory.mktemp("report"))


def test_the_data_say_which_tokens_are_learnable_and_where(table):
    data = page_data([summarise(table)])
    found, rows = data["tokens"], table.row_ids(list(range(0, 72, 3)))
    tokenizer = sudoku.build_tokenizer()
    means = [entry["mean"] for entry in (*found["most"], *reversed(found["least"]))]
    assert means == sorted(means, reverse=True) and len(means) >= 5
    texts = {tuple(tokenizer.decode([token]) for token in ids) for ids in rows.values()}
    for entry in found["most"]:
        assert entry["count"] >= 20
        around = (*entry["before"], entry["text"], *entry["after"])
        assert any(around == row[n : n + len(around)] for row in texts for n in range(len(row)))
    example = data["examples"][0]
    assert example["name"] == "row 0" and len(example["tokens"]) == len(rows[0])
    assert all(0 <= p <= 1 for by_position in data["runs"][0]["examples"][0].values() for p in by_position.values())
    kept = data["runs"][0]["kept"]
    assert [row[:2] for row in kept][::4] == [["0.0625", "hard"], ["0.707", "easy"]]
    assert float(kept[0][3]) < float(kept[0][4]) and float(kept[4][3]) > float(kept[4][4])
    assert data["gain"] is None and data["runs"][0]["bands"][0][:2] == ["above 10 %", "0.0625"]


def test_a_comparison_ranks_tokens_by_their_gain(table, other):
    gained = gain(table, other)
    data = page_data([summarise(table), summarise(other)], gained)
    most = data["tokens"]["most"][0]
    assert most["mean"] == pytest.approx(gained.tokens.means()[gained.tokens.counts >= 20].max(), abs=1e-3)
    assert len(data["gain"]) == len(data["runs"][0]["bands"]) and data["gain"][0][2] == data["runs"][0]["bands"][0][2]


def test_figures_lie_beside_the_page(comparison):
    names = {path.name for path in (comparison.parent / "figures").iterdir()}
    kinds = ("confidence", "gold_probability", "frequency", "kept", "calibration")
    stems = ["gain", "gain_frequency", *(f"{kind}_{run}" for kind in kinds for run in "AB")]
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")}


def test_the_variance_of_a_table_is_shown_where_it_is_of_its_weights(browser, table, tmp_path):
    shutil.copytree(table.folder, tmp_path, dirs_exist_ok=True)
    table = AnalysisTable(tmp_path)
    of_table = {name: table.settings[name] for name in ("weights", "data")}
    record = record_of()
    VarianceRecord({**record.settings, **of_table, "block_size": 4}, record.methods).write(tmp_path)
    page = browser.new_page()
    page.goto(write_report([table], tmp_path).as_uri())
    page.get_by_text("Variance of the gradient").last.click()
    text = page.inner_text("#numbers")
    assert all(name in text for name in HEADER) and "4 masks" not in text
    assert "4,840 trained parameters: 4 rows, 2 times of each, 2 masks at each time, in blocks of 4 tokens." in text
    assert page.locator("img[alt^='Variance of the gradient']").count() == 1
    page.close()
    VarianceRecord({**record.settings, **of_table, "weights": "others"}, record.methods).write(tmp_path)
    assert page_data([summarise(table)])["runs"][0]["variance"] is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_on_a_phone(browser, table, other, comparison, scheme):
    complaints, requests = [], []
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(comparison.as_uri())
    page.wait_for_selector("#numbers details")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    images = page.evaluate(
        "[...document.images].map((i) => [i.complete && i.naturalWidth > 0, i.currentSrc === i.src, i.alt])"
    )
    assert len(images) == 12 and all(drawn and alt for drawn, _, alt in images)
    assert all(is_light == (scheme == "light") for _, is_light, _ in images)
    # Examples are coloured where the chosen model was asked, by the ratio that is chosen.
    page.select_option("select >> nth=1", "5")
    shares = page.locator("#examples .tokens").first.locator(".token:not(.plain)")
    data = page_data([summarise(table), summarise(other)], gain(table, other))
    expected = data["runs"][1]["examples"][0]["5"]
    assert [span.get_attribute("title") for span in shares.all()] == [f"probability {p}" for p in expected.values()]
    page.select_option("select >> nth=0", "0")
    expected = data["runs"][0]["examples"][0]["5"]
    assert [span.get_attribute("title") for span in shares.all()] == [f"probability {p}" for p in expected.values()]
    page.get_by_text("Numbers of the gain").click()
    assert "gain, nats" in page.inner_text("#numbers")
    assert not complaints and all(url.startswith(("file://", "data:image/svg+xml")) for url in requests)
    context.close()

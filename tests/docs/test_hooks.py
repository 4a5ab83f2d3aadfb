"""What mkdocs is taught: links that hold on the site, and formulas."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.docs.site_modules import load

REPOSITORY = "https://github.com/lift-kernels/lift-kernels/blob/main/"


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("models.md", "block_diffusion.md#x", "block_diffusion.md#x"),  # within docs/
        ("models.md", "../lift/objectives/README.md#blocks", "algorithm.md#blocks"),  # a page from elsewhere
        ("reference/lift.md", "../../lift_kernels/README.md", "../kernels.md"),
        ("reference/lift.md", "../integrations.md", "../integrations.md"),
        (
            "study.md",
            "../benchmarks/results/study/differences.png",
            "plots/study/differences.png",
        ),  # a picture from elsewhere
        ("models.md", "../lift/recipes/presets", f"{REPOSITORY}lift/recipes/presets"),  # no page
        ("benchmarks.md", "../docs/performance.md", "performance.md"),  # on a page from elsewhere
        ("benchmarks.md", "study/PROTOCOL.md", f"{REPOSITORY}benchmarks/study/PROTOCOL.md"),
        ("contributing.md", "docs/machine_code.md", "machine_code.md"),
        ("models.md", "../nowhere.md", "../nowhere.md"),  # for mkdocs to warn of
        ("models.md", "https://arxiv.org/abs/1", "https://arxiv.org/abs/1"),
        ("models.md", "#positions", "#positions"),
    ],
)
def test_a_link(page, link, expected):
    assert load("hooks").site_links(f"see [it]({link}).", page) == f"see [it]({expected})."


def test_code_is_left_alone():
    text = (
        "[a](../lift/recipes/presets)\n```python\nx = f[0](../lift/objectives/README.md)\n```\n[b](../CHANGELOG.md)\n"
    )
    changed = load("hooks").site_links(text, "models.md")
    assert "f[0](../lift/objectives/README.md)" in changed and "[b](changelog.md)" in changed
    assert f"[a]({REPOSITORY}lift/recipes/presets)" in changed


def test_a_formula_is_mathml_line_by_line():
    html = load("hooks").formula("\\frac{1}{t}\n\n\\rho \\sim U[0, 1)\n", "math", "formula", {}, None)
    root = ET.fromstring(html)
    assert root.attrib == {"class": "formula"}
    assert [child.tag.rpartition("}")[2] for child in root] == ["math", "math"]
    fraction = root[0].find(".//{*}mfrac")
    assert fraction is not None and ["".join(part.itertext()) for part in fraction] == ["1", "t"]

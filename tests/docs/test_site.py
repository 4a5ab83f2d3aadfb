"""The site: every page is in its navigation, every public name in its reference, and it builds without a warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT, documents
from tests.docs.site_modules import load

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
# Constants, whose values a sentence of the page lists, and names that stand elsewhere.
SAID = {"__version__", "METHODS", "PRESETS"}


def pages(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for part in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from pages(part)


def test_the_navigation_names_every_page_once():
    named = list(pages(CONFIG["nav"]))
    here = {path.relative_to("docs").as_posix() for path in documents() if path.parts[0] == "docs"}
    assert sorted(named) == sorted(here | set(load("hooks").ELSEWHERE))


@pytest.mark.parametrize("source", load("hooks").ELSEWHERE.values())
def test_a_page_that_lies_elsewhere_is_there(source):
    assert (ROOT / source).is_file()


@pytest.mark.parametrize("package", ["lift_kernels", "lift", "lift.objectives", "lift.integrations"])
def test_the_reference_has_every_public_name(package):
    page = ROOT / "docs" / "reference" / f"{package.removeprefix('lift.')}.md"
    text = page.read_text("utf-8")
    shown = set(re.findall(rf"^::: {re.escape(package)}\.(\w+)$", text, re.MULTILINE))
    said = {name for name in re.findall(r"`(\w+)`", text) if name.isupper()} | SAID
    others = "".join(path.read_text("utf-8") for path in page.parent.glob("*.md"))
    missing = {name for name in set(import_module(package).__all__) - shown - said if f".{name}\n" not in others}
    assert not missing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocstrings", reason="the packages of the documentation are not installed")
    folder = tmp_path_factory.mktemp("site")
    # --quiet would hide warnings from the count of them too.
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder], cwd=ROOT, capture_output=True,
        text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, timeout=300,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Documentation built" in built.stderr and "WARNING" not in built.stderr
    return folder


def test_it_builds_without_a_warning_and_every_page_is_written(site):
    for page in pages(CONFIG["nav"]):
        assert (site / page).with_suffix(".html").is_file()
    assert not [path for path in site.rglob("*") if path.suffix in (".py", ".pyc")]


def test_a_page_asks_nothing_of_the_network(site):
    for path in site.rglob("*.html"):
        html = path.read_text("utf-8")
        fetched = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?(https?:[^\"' >]*)", html)
        fetched += re.findall(
            r"<link[^>]*rel=[\"']?(?:stylesheet|preconnect|preload)[^>]*href=[\"']?(https?:[^\"' >]*)", html
        )
        assert not fetched, path


def test_formulas_docstrings_and_links_are_what_a_reader_expects(site):
    explained = (site / "lift_explained.html").read_text("utf-8")
    assert explained.count("<math ") == 5 and "\\frac" not in re.sub(r"<annotation.*?</annotation>", "", explained)
    assert 'href="algorithm.html"' in explained and "blob/main/benchmarks/results/" in explained
    options = (site / "reference" / "lift.html").read_text("utf-8")
    assert "Lowest over-mask rate rho, in [0, 1)." in options and "option(" not in options
    reference = (site / "reference" / "lift_kernels.html").read_text("utf-8")
    assert "never holding the (N, V) logits" in reference and 'href="../kernels.html"' in reference

"""The page of an unmasking, in a browser: it plays, stops, is wound, and follows the colours that its reader likes."""

from __future__ import annotations

import re
import shutil

import pytest

from lift.report import save_unmasking
from lift.report.unmasking_html import render

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def test_the_page_needs_nothing_from_elsewhere_and_holds_the_text_where_there_are_no_scripts(unmasking):
    page = render(unmasking).decode()
    assert not re.search(r"""(src|href)=|@import|url\(|https?:""", page)
    assert "<noscript>Hello &lt;world&gt;\nend</noscript>" in page
    assert page.count("</script>") == 2  # the title's is none


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium")
def test_it_plays_and_is_wound(unmasking, tmp_path):
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    save_unmasking(tmp_path / "run.html", unmasking)
    with driver.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BROWSER, args=FLAGS)
        try:
            page = browser.new_page(reduced_motion="reduce", color_scheme="dark")
            problems = []
            page.on("pageerror", lambda error: problems.append(error.message))
            page.on("request", lambda request: problems.append(request.url) if request.url[:5] != "file:" else None)
            page.goto((tmp_path / "run.html").as_uri())
            spans = page.locator("#text > span")

            def state():
                return [(span.text_content(), span.get_attribute("class")) for span in spans.all()]

            masked = [("Hello", "mask"), (" <world>", "mask"), ("\nend", "mask")]
            assert state() == masked and page.locator("#number").text_content() == "0 / 4"
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
            page.locator("#step").focus()
            for _ in range(2):
                page.keyboard.press("ArrowRight")
            assert state() == [("Hello", "l0 new"), (" &", "l2"), masked[2]]
            assert spans.first.get_attribute("title") == "97.0%"
            page.locator("#play").click()
            assert page.locator("#play").text_content() == "Pause"
            page.wait_for_function("document.getElementById('number').textContent === '4 / 4'")
            page.wait_for_function("document.getElementById('play').textContent === 'Play'")
            assert state() == [("Hello", "l0"), (" <world>", "l1"), ("\nend", "l0 new")]
            assert problems == []
        finally:
            browser.close()

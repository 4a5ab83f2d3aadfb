"""The page's file: whole or not at all, with nothing in it that a text could end."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from lift.report import write_page

DATA = {"problems": ["</script>", "$data", "\u202e", "é", "\ud800"], "range": [0.5, None]}


def test_the_data_come_back_from_the_page(tmp_path):
    path = tmp_path / "new" / "page.html"
    write_page(path, "a < b & $style", DATA)
    page = path.read_text("utf-8")
    (packed,) = re.findall(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]*)</script>', page)
    found = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert found == DATA | {"problems": [*DATA["problems"][:4], "?"]}
    assert "<title>a &lt; b &amp; $style</title>" in page
    first = path.read_bytes()
    write_page(path, "a < b & $style", DATA)
    assert path.read_bytes() == first


def test_nothing_is_loaded_and_no_other_script_runs(tmp_path):
    write_page(tmp_path / "page.html", "t", {})
    page = (tmp_path / "page.html").read_text("utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert re.fullmatch(r"default-src 'none'; img-src data:; style-src 'sha256-\S+'; script-src 'sha256-\S+'", policy)
    assert not re.search(r"(src|href)=|https?://|innerHTML", page)


def test_a_failed_write_leaves_the_old_page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_page(path, "t", {"value": float("nan")})
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]

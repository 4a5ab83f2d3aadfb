"""A page of evaluations or of an analysis: one HTML file with its data inside, which asks the network for nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Literal

from lift.atomic_write import atomic_write

_PARTS = resources.files("lift.report") / "page_parts"
_SCRIPTS = {
    "evaluation": ("elements.js", "player.js", "replay.js", "evaluation.js"),
    "analysis": ("elements.js", "analysis.js"),
}


def write_page(
    path: Path, title: str, data: Mapping[str, Any], *, kind: Literal["evaluation", "analysis"] = "evaluation"
) -> None:  # fmt: skip
    """Write a page, whole or not at all.

    The data go in packed, as base64: so no text of a model can end the script it stands in, and an answer of 256 tokens
    takes about a kilobyte. The page's policy runs its own script alone, and loads nothing; pictures lie in
    its data.

    Args:
        path: of the HTML file; its folder is made.
        title: of the page.
        data: what `page_parts/KIND.js` shows; plain, without infinities and NaN, which JSON does not have.
        kind: of the page.
    """
    style, *scripts = (_text(name) for name in ("page.css", *_SCRIPTS[kind]))
    script = "\n".join(scripts)
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    packed = gzip.compress(text.encode("utf-8", "replace"), mtime=0)
    page = Template(_text("page.html")).substitute(
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}",
        title=html.escape(title), style=style, body=_text(f"{kind}.html"), script=script,
        data=base64.b64encode(packed).decode(),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(page.encode())


def _text(name: str) -> str:
    return (_PARTS / name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return what a content security policy calls a script or a style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

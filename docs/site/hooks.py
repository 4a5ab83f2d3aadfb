"""What mkdocs is taught for this site: pages that lie outside docs/, links out of it, and formulas.

The pages are written for GitHub, where a link goes from file to file of the repository and a fence named `math` is a
formula. Here such a link goes to the page of the site, or to GitHub where the site has none, and the formula becomes
MathML, which browsers draw by themselves: the site needs no script for it, and no network.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/lift-kernels/lift-kernels/blob/main/"
ELSEWHERE = {
    "algorithm.md": "lift/objectives/README.md",
    "kernels.md": "lift_kernels/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site whose text lies elsewhere in the repository."""
PICTURES = {
    f"plots/{study}/{name}.png": f"benchmarks/results/{study}/{name}.png"
    for study, name in (
        ("study", "differences"), ("study", "answers-by-steps"), ("study", "nll-against-answers"),
        ("study-sapiens", "differences"),
    )
}  # fmt: skip
"""Pictures of its pages that lie with the results that they show."""

_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let a fence named `math` be a formula."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "math", "class": "formula", "format": formula})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies elsewhere."""
    for name, source in (ELSEWHERE | PICTURES).items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a file of the repository into links of the site."""
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, page: str) -> str:
    """Return the text of `page`, a path in docs/, with links that hold on the site.

    What leads to a file that the site has not leads to GitHub; what leads nowhere stays, for mkdocs to warn of.
    """
    name_of = {source: name for name, source in (ELSEWHERE | PICTURES).items()}
    folder = posixpath.dirname(ELSEWHERE.get(page, f"docs/{page}"))

    def follow(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        inside = name_of.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if inside is not None:
            return f"]({posixpath.relpath(inside, posixpath.dirname(page) or '.')}{link[2] or ''})"
        return f"]({REPOSITORY}{target}{link[2] or ''})" if (ROOT / target).exists() else link[0]

    parts = _FENCED.split(markdown)  # every second one is code
    return "".join(part if i % 2 else _LINK.sub(follow, part) for i, part in enumerate(parts))


def formula(source: str, *_: Any, **__: Any) -> str:
    """Return the MathML of a formula in LaTeX, each line of which is one of its own."""
    lines = [line for line in source.splitlines() if line.strip()]
    return '<div class="formula">' + "".join(convert(line, display="block") for line in lines) + "</div>"

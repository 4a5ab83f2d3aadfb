"""The Markdown of the repository: its files, their fenced blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_END = {";", "|", "||", "&", "&&", "<", ">", ">>", "2>"}


def documents() -> list[Path]:
    """Return every Markdown file of the repository."""
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*.md")]
    return sorted(path for path in found if path.parts[0] != "build" and not any(p.startswith(".") for p in path.parts))


def blocks(document: str | Path, *languages: str) -> list[str]:
    """Return the fenced blocks of a document in one of `languages`; "" is a fence that names none."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [found["code"] for found in _FENCED.finditer(text) if found["language"] in languages]


def prose(document: str | Path) -> str:
    """Return a document without its fenced blocks."""
    return _FENCED.sub("", (ROOT / document).read_text(encoding="utf-8"))


def commands(document: str | Path) -> Iterator[list[str]]:
    """Yield the words behind `lift` of each of its commands in the blocks of a shell, and those behind a launcher."""
    for code in blocks(document, "", "shell"):
        for line in code.replace("\\\n", " ").splitlines():
            yield from _commands_of(line)


def _commands_of(line: str) -> Iterator[list[str]]:
    if not re.search(r"\blift(\.cli)? [a-z]", line):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _END:
            words.append(word)
            continue
        if words[:1] == ["lift"]:
            yield words[1:]
        elif "lift.cli" in words:
            yield words[words.index("lift.cli") + 1 :]
        words = []

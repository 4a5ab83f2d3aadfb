r"""The contents of `\boxed{...}` and `\fbox{...}`, in time linear in the text."""

from __future__ import annotations

import re

# The start of a box, an escaped character, or a brace.
_MARK = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])(?P<brace>\s*\{)?|\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"\s*([^\s$<>]+)")
_END_OF_OPEN = re.compile(r"[\n<>]")
_PLACEHOLDER = re.compile(
    r"(?:[.\s_…?{}]|\\(?:[lc]?dots|text|quad|,|;))*|[\[<{(]?\s*(?:your |the )?(?:final )?answer(?: here)?\s*[\]>})]?",
    re.IGNORECASE,
)


def last_box(text: str) -> str | None:
    r"""Return the content of the last box that holds something, None where no box does.

    Braces balance; a box in a box comes after the outer one; `\boxed 7` needs none. A box that is never closed holds
    the rest of its line, up to a stray `<` or `>`. A placeholder such as `\boxed{...}` holds nothing.
    """
    boxes: list[tuple[int, int | None]] = []  # (where the content starts, where it ends)
    open_braces: list[int | None] = []  # index into `boxes`, None for another brace
    for mark in _MARK.finditer(text):
        token = mark.group()
        if token[0] == "\\" and token[1:5] in ("boxe", "fbox"):
            if mark["brace"]:
                open_braces.append(len(boxes))
                boxes.append((mark.end(), None))
            elif bare := _BARE.match(text, mark.end()):
                boxes.append(bare.span(1))
        elif token == "{":
            open_braces.append(None)
        elif token == "}" and open_braces and (index := open_braces.pop()) is not None:
            boxes[index] = (boxes[index][0], mark.start())
    for start, end in reversed(boxes):
        if end is None:
            stop = _END_OF_OPEN.search(text, start)
            end = stop.start() if stop else len(text)
        content = text[start:end].strip()
        if not is_placeholder(content):
            return content
    return None


def is_placeholder(content: str) -> bool:
    """Return whether a text holds no answer: nothing, dots, or the words of the prompt's template."""
    return len(content) < 100 and _PLACEHOLDER.fullmatch(content) is not None

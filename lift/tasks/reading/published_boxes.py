r"""How the published code reads a box: `last_boxed_only_string` and `remove_boxed` of MATH (arXiv 2103.03874, MIT), in
the variants of d1 and LIFT, which return the whole text where there is no box."""

from __future__ import annotations


def published_box(text: str) -> str:
    """Return what the published code takes for the answer.

    Raises: ValueError where it raises, on a box whose braces do not balance.
    """
    box = _last_box(text)
    if "\\boxed " in box:
        if not box.startswith("\\boxed "):
            raise ValueError("the box with a space is not the last one")
        return box.removeprefix("\\boxed ")
    return box[len("\\boxed{") : -1] if box.startswith("\\boxed{") and box.endswith("}") else box


def _last_box(text: str) -> str:
    if "\\boxed " in text:
        return "\\boxed " + text.rsplit("\\boxed ", 1)[1].split("$")[0]
    start = text.rfind("\\boxed")
    if start < 0:
        start = text.rfind("\\fbox")
    if start < 0:
        return text
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if text[i] == "}" and depth == 0:
            return text[start : i + 1]
    raise ValueError("the braces of the last box do not balance")

"""The program in what a model wrote."""

from __future__ import annotations

import re

from lift.tasks.reading.final_answer import answer_block, cut_at_end_token

_FENCE = re.compile(r"^[ \t]*```[ \t]*([A-Za-z0-9_+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)


def find_code(output: str) -> str | None:
    """Return the last fenced block of Python in the answer, else the answer itself where it defines a function.

    A block without a language counts as Python; one that is never closed goes to the end. None: there is no program.
    """
    text = cut_at_end_token(output)  # as it stands: Python reads some characters otherwise than NFKC
    start, end, _ = answer_block(text)
    text = text[start:end]
    blocks = [code for language, code in _FENCE.findall(text) if language.lower() in ("", "python", "python3", "py")]
    if blocks:
        # A usage example may follow the program in a block of its own.
        defining = [code for code in blocks if re.search(r"^\s*(?:async\s+)?(?:def|class)\s", code, re.MULTILINE)]
        return (defining or blocks)[-1]
    return text if re.search(r"^(?:async\s+)?def\s", text, re.MULTILINE) else None

"""An exception as a record keeps it."""

from __future__ import annotations

import traceback


def describe_error(error: BaseException) -> dict[str, str]:
    """Return `sentence`, the type and first line of the message, and `traceback`, the last 6000 characters of it."""
    first_line = str(error).strip().partition("\n")[0][:300]
    trace = "".join(traceback.format_exception(error))
    return {"sentence": f"{type(error).__name__}: {first_line}", "traceback": trace[-6000:]}

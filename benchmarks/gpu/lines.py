"""One line on the screen for each number as it comes. A speed whose gate is not green stands in brackets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Of a row of times, what else its line shows, with the number's format.
_BESIDE = {
    "% of bound": "{:.1f} % of bound", "TFLOP/s": "{:.0f} TFLOP/s", "TB/s": "{:.2f} TB/s", "MiB": "{:.0f} MiB",
    "whole vocabulary ms": "whole vocabulary {:.3f} ms", "peak MiB": "peak {:.0f} MiB",
    "loss error nats": "loss off {:.1e} nats", "token error nats": "a token at most {:.1e}", "dX error": "dX {:.1e}",
    "dW error": "dW {:.1e}",
}  # fmt: skip


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def check_line(record: dict[str, Any]) -> str:
    """Return a check's line: passed or what is wrong, its worst numbers, and its seconds, compilation included."""
    is_wrong = record["status"] in ("failed", "error")
    words = [f"{record['section']} {record['check']}: {record['status'].upper() if is_wrong else record['status']}"]
    numbers = record.get("numbers", {})
    if "nats" in numbers:
        words.append(f"at most {numbers['nats']:.1e} nats off")
    if "gradient_error" in numbers:
        words.append(f"gradients {numbers['gradient_error']:.1e} (plain ones {numbers['plain_gradient_error']:.1e})")
    if "beyond_gradients_mib" in numbers:
        words.append(f"{numbers['beyond_gradients_mib']:.0f} MiB beyond gradients")
    if record["status"] != "passed":
        words.append(record["sentence"])
    return ", ".join(words) + (f" [{record['seconds']:.1f} s]" if "seconds" in record else "")


def measurement_lines(record: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a record that carries its gates: one for each time, and one for all other numbers."""
    name = f"{record['section']} {record['name']}"
    for key, word in (("error", "ERROR"), ("missing", "not measured"), ("wrong", "WRONG")):
        if key in record:
            yield f"{name}: {word}: {record[key]}"
    for label, row in record.get("times", {}).items():
        yield f"{name}: {_row(label, row)}"
    if record.get("numbers"):
        yield f"{name}: " + "; ".join(f"{label} {_number(value)}" for label, value in record["numbers"].items())


def bracketed(text: str, gate: str | None) -> str:
    return text if gate in (None, "green") else f"[{text}]"


def _row(label: str, row: dict[str, Any]) -> str:
    if "median_ms" not in row:
        return f"{label}: not timed: {row.get('error', 'nothing is known')}"
    time = bracketed(f"{row['median_ms']:.4f} ms", row.get("gate"))
    words = [f"{label} {time} ({row['p20_ms']:.4f} .. {row['p80_ms']:.4f}, {row['rounds']} rounds)"]
    words += [form.format(row[key]) for key, form in _BESIDE.items() if key in row]
    if row.get("gate") not in (None, "green"):
        words.append(f"gate {row['gate']}")
    words += [f"{key.upper()}: {row[key]}" for key in ("wrong", "error") if key in row]
    return ", ".join(words)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

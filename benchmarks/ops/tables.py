"""Results as Markdown: a table for each kind of work, a column for each share of masked tokens."""

from __future__ import annotations

from benchmarks.ops.cases import WITHOUT_GRADIENT
from benchmarks.ops.providers import BOUND
from benchmarks.ops.results import Results, Row, grouped

_TITLES = {
    "statistics": "Statistics",
    "loss": "Loss and gradients",
    "lift": "LIFT: scores, selection, loss and gradients",
    "sampling": "A token drawn at temperature 1, and its log-probability",
}
APPROXIMATE = "~"


def tables(results: Results) -> str:
    """Return all tables, each under a heading of its own."""
    parts = []
    for (model, tokens, work, head, _), rows in grouped(results.rows, "model", "N", "work", "head", "dtype").items():
        first = rows[0]
        title = _TITLES[work] + ("" if work in WITHOUT_GRADIENT else f", {head} head")
        parts.append(f"### {title}: {model}, {tokens} tokens, {first.D} x {first.V}, {first.dtype.split('.')[1]}\n")
        parts.append(_table(rows) + "\n")
    return "\n".join(parts)


def _table(rows: list[Row]) -> str:
    shares = sorted({row.masked for row in rows})
    cells = {(row.provider, row.masked): _cell(row) for row in rows}
    lines = [
        "| | " + " | ".join(f"{share:.0%} masked" for share in shares) + " | off by, nats | gradients off by |",
        "|---|" + "---|" * (len(shares) + 2),
    ]
    for provider, of_provider in grouped(rows, "provider").items():
        mark = APPROXIMATE if any(row.inaccuracy for row in of_provider) else ""
        times = " | ".join(cells.get((provider, share), "") for share in shares)
        name = f"**{provider}**" if of_provider[0].own else provider
        errors = f"{_loss_error(of_provider)} | {_worst(of_provider, 'gradient_error')}"
        lines.append(f"| {mark}{name} | {times} | {errors} |")
    return "\n".join(lines)


def _cell(row: Row) -> str:
    median, low, high = map(_three_digits, (row.median_ms, row.p20_ms, row.p80_ms))
    words = f"{median} ms ({low} to {high})"
    if row.provider == BOUND:
        return words
    words += f", x{row.ratio_to_products:.2f}"
    peak = row.facts.get("peak_mib")
    return words if peak is None else f"{words}, {peak:.0f} MiB"


def _three_digits(number: float) -> str:
    return f"{number:.3g}" if number < 999.5 else f"{number:.0f}"  # 1234 and not 1.23e+03


def _loss_error(rows: list[Row]) -> str:
    worst = _worst(rows, "error_nats")
    return worst if not worst or any(row.tells_tokens for row in rows) else f"{worst} (mean)"


def _worst(rows: list[Row], name: str) -> str:
    numbers = [number for row in rows if (number := getattr(row, name)) is not None]
    return f"{max(numbers):.1e}" if numbers else ""

"""The predictions as a table of Markdown."""

from __future__ import annotations

from benchmarks.predictions.model import H100, H200, Step, bound, seconds

ROWS = (256, 1024, 2176, 2600, 3300, 4096, 5000, 8192)


def table() -> str:
    """Return the predicted milliseconds of steps on LLaDA-8B's head, beside those of the bare products."""
    lines = [
        "| rows | head | pieces (rows x columns) | bare products, ms | predicted, H100 | predicted, H200 |",
        "|---|---|---|---|---|---|",
    ]
    for is_trained in (False, True):
        for num_rows in ROWS:
            step = Step(num_rows, is_trained)
            plan, least = step.plan(H100), bound(step, H100)
            cells = [str(num_rows), "trained" if is_trained else "frozen", f"{plan.rows} x {plan.columns}"]
            cells.append(f"{least * 1e3:.2f}")
            for gpu in (H100, H200):
                time = seconds(step, gpu)
                cells.append(f"{time * 1e3:.2f} ms ({bound(step, gpu) / time:.0%} of the bound)")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"

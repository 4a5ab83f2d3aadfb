"""The report of a table, or of two: figures as files, and a page that holds them all."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lift.analysis.figures import Drawing, drawings, gain_drawings, mode_at
from lift.analysis.summary import Cells, Gain, Summary, gain, summarise
from lift.analysis.table import AnalysisTable
from lift.analysis.variance_figure import HEADER, variance_drawing, variance_rows
from lift.analysis.variance_record import VarianceRecord
from lift.learnability.bands import BANDS
from lift.report import dark_svg, write_figure, write_page
from lift.report.figure import INK

PAGE, FIGURES = "analysis.html", "figures"
_NUM_TOKENS = 15  # most and least learnable ones that are shown
_MIN_SEEN = 20  # times that a token must have been masked to be among them
_CONTEXT = 8  # tokens on either side
_LONGEST = 600  # tokens of an example that are shown
_SHOWN_SETTINGS = (
    "command", "time", "model", "adapter", "weights", "description", "num_examples", "num_tokens", "ratios", "seed",
    "dtype", "device", "versions",
)  # fmt: skip


def write_report(tables: Sequence[AnalysisTable], folder: Path) -> Path:
    """Write the page of a table, or of two with the same masks, and its figures; return the page's path.

    The variance of gradients that was measured for a table, by the same weights on the same rows, is among them.

    Args:
        tables: one, or the first and the second to compare.
        folder: of `analysis.html` and of `figures/`, each as PNG and SVG.

    Raises: LiftError if a table is not complete, or the two are of other masks.
    """
    gained = gain(*tables) if len(tables) == 2 else None
    summaries = [summarise(table) for table in tables]
    drawn = [] if gained is None else [_written(d, folder, "") for d in gain_drawings(gained, summaries[0].ratios)]
    suffixes = ("_A", "_B") if len(tables) > 1 else ("",)
    for alike in zip(*(drawings(summary) for summary in summaries), strict=True):
        drawn += [_written(drawing, folder, suffix) for drawing, suffix in zip(alike, suffixes, strict=True)]
    for table, suffix in zip(tables, suffixes, strict=True):
        if (record := _variance(table)) is not None:
            drawn.append(_written(variance_drawing(record), folder, suffix))
    names = [str(table.settings.get("model", table.folder)) for table in tables]
    page = folder / PAGE
    title = "Analysis of " + " and ".join(dict.fromkeys(names))
    write_page(page, title, page_data(summaries, gained) | {"figures": drawn}, kind="analysis")
    return page


def page_data(summaries: Sequence[Summary], gained: Gain | None = None) -> dict[str, Any]:
    """Return what the page shows beside the figures, as plain data."""
    texts = summaries[0].table.texts()
    runs = [
        {
            "name": str(summary.table.folder),
            "facts": _facts(summary.table.settings),
            "bands": _band_rows(summary),
            "kept": _kept_rows(summary),
            "variance": _variance_table(summary.table),
            "examples": _examples(summary),
        }
        for summary in summaries
    ]  # fmt: skip
    last = summaries[-1]
    return {
        "ratios": last.ratios,
        "runs": runs,
        "gain": None if gained is None else _gain_rows(gained, last.ratios),
        "tokens": _extremes(last, last.tokens if gained is None else gained.tokens, texts),
        "examples": _example_texts(last, texts),
    }


def _variance(table: AnalysisTable) -> VarianceRecord | None:
    """Return what lies beside the table; None where that is of other weights or rows."""
    record = VarianceRecord.read(table.folder)
    is_own = record is not None and all(record.settings[name] == table.settings[name] for name in ("weights", "data"))
    return record if is_own else None


def _variance_table(table: AnalysisTable) -> dict[str, Any] | None:
    record = _variance(table)
    if record is None:
        return None
    counts = ("num_parameters", "num_rows", "num_times", "num_masks")
    note = "Over {:,} trained parameters: {} rows, {} times of each, {} masks at each time".format(
        *(record.settings[name] for name in counts)
    )
    size = record.settings["block_size"]
    note += "" if size is None else f", in blocks of {size} tokens"
    note += ". The noise scale, variance over squared mean, is how many rows make a step whose noise equals its signal."
    return {"header": HEADER, "rows": variance_rows(record), "note": note}


def _written(drawing: Drawing, folder: Path, suffix: str) -> dict[str, str]:
    """Write a figure as PNG and SVG, and return it for the page: light, dark, and what it shows."""
    path = folder / FIGURES / f"{drawing.name}{suffix}.svg"
    title = drawing.title + suffix.replace("_", ", ")
    drawing.figure.suptitle(title, x=0.02, ha="left", color=INK, fontsize=12, fontweight="bold")
    write_figure(drawing.figure, path.with_suffix(".png"))
    write_figure(drawing.figure, path)
    light = path.read_text("utf-8")
    return {"title": title, "caption": drawing.caption, "light": _data_uri(light), "dark": _data_uri(dark_svg(light))}


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _band_rows(summary: Summary) -> list[list[str]]:
    """Return the numbers behind the first figures: a row for each band and ratio."""
    groups, counts = summary.groups, summary.groups.counts()
    columns = [(groups.means(name), groups.half_widths(name)) for name in ("confidence", "correct", "gold", "log_prob")]
    return [
        _cells(band, ratio, counts[place, band], [(means[place, band], half[place, band]) for means, half in columns])
        for band in range(len(BANDS))
        for place, ratio in enumerate(summary.ratios)
        if counts[place, band]
    ]


def _kept_rows(summary: Summary) -> list[list[str]]:
    """Return a row for each time: mode, share kept, and gold probability of what is kept and of what is put back."""
    counts, gold = summary.kept_gold.counts, summary.kept_gold.means()
    share = counts[:, 1] / counts.sum(1).clip(min=1)
    return [
        [f"{t:.3g}", mode_at(t), f"{share[time]:.1%}", *(f"{mean:.3f}" for mean in gold[time, ::-1])]
        for time, t in enumerate(summary.ratios)
        if counts[time].all()
    ]  # fmt: skip


def _gain_rows(gained: Gain, ratios: Sequence[float]) -> list[list[str]]:
    groups, counts = gained.groups, gained.groups.counts()
    means, half = groups.means("log_prob"), groups.half_widths("log_prob")
    return [
        _cells(band, ratio, counts[place, band], [(means[place, band], half[place, band])])
        for band in range(len(BANDS))
        for place, ratio in enumerate(ratios)
        if counts[place, band]
    ]  # fmt: skip


def _cells(band: int, ratio: float, count: float, values: Sequence[tuple[float, float]]) -> list[str]:
    return [BANDS[band], f"{ratio:.3g}", f"{int(count):,}", *(_with_half_width(*value) for value in values)]


def _with_half_width(value: float, half_width: float) -> str:
    return f"{value:.3f}" + ("" if math.isnan(half_width) else f" ± {half_width:.3f}")


def _extremes(summary: Summary, cells: Cells, texts: dict[int, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the tokens with the highest and the lowest mean, each where it was masked first."""
    (seen,) = np.nonzero(cells.counts >= min(_MIN_SEEN, cells.counts.max()))
    ranked = seen[np.argsort(cells.means()[seen], kind="stable")]
    half = min(_NUM_TOKENS, -(-len(ranked) // 2))
    chosen = {"most": ranked[::-1][:half], "least": ranked[:half]}
    places = {int(summary.seen_at[token, 0]) for tokens in chosen.values() for token in tokens}
    rows = summary.table.row_ids(sorted(places))
    return {
        name: [
            {
                "text": texts[int(token)],
                "count": int(cells.counts[token]),
                "mean": round(float(cells.means()[token]), 3),
                **_context(rows[int(summary.seen_at[token, 0])], int(summary.seen_at[token, 1]), texts),
            }
            for token in tokens
        ]
        for name, tokens in chosen.items()
    }


def _context(ids: Sequence[int], position: int, texts: dict[int, str]) -> dict[str, list[str]]:
    before, after = ids[max(0, position - _CONTEXT) : position], ids[position + 1 : position + 1 + _CONTEXT]
    return {"before": [texts[token] for token in before], "after": [texts[token] for token in after]}


def _example_texts(summary: Summary, texts: dict[int, str]) -> list[dict[str, Any]]:
    rows = summary.table.row_ids(sorted(summary.example_log_prob))
    return [
        {"name": f"row {number}", "tokens": [texts[token] for token in rows[number][:_LONGEST]]}
        for number in sorted(summary.example_log_prob)
    ]


def _examples(summary: Summary) -> list[dict[str, dict[str, float]]]:
    """Return the gold probability of the first examples' masked tokens, by ratio index and position."""
    return [
        {
            str(ratio): {str(at): round(math.exp(value), 4) for at, value in by_position.items() if at < _LONGEST}
            for ratio, by_position in by_ratio.items()
        }
        for _, by_ratio in sorted(summary.example_log_prob.items())
    ]


def _facts(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: _plain(settings[name]) for name in _SHOWN_SETTINGS if name in settings}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    if isinstance(value, list):
        return ", ".join(f"{number:.4g}" for number in value)
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)

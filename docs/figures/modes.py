"""Draw docs/figures/modes.svg, the three modes of LIFT: `python docs/figures/modes.py`.

What is masked, kept and put back is what `lift.objectives.lift_batch` chooses; the model's probabilities are made up,
low for rare words and falling as more is masked.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

import torch

from lift.objectives import EASY, HARD, MIDDLE, lift_batch

WORDS = "so Ann has 7 apples and 5 plums , which makes 12 .".split()
RARE = {"Ann": 0.1, "7": 0.3, "apples": 0.2, "5": 0.35, "plums": 0.05, "makes": 0.5, "12": 0.15}
CELL, LEFT, ROW, TOP = 62, 140, 132, 62  # pixels: a word, what stands before it, a mode, and the legend


class Mode(NamedTuple):
    name: str
    when: str
    order: int
    t: float
    rho: float
    seed: int


MODES = (
    Mode("easy", "t > 2/3", EASY, 0.68, 0.3, 5),
    Mode("middle", "t from 1/3 to 2/3", MIDDLE, 0.5, 0.3, 2),
    Mode("hard", "t < 1/3", HARD, 0.3, 0.5, 5),
)
STYLE = (
    "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#30343B}.b{font-weight:600}.quiet{fill:#5F6670}"
    ".ground{fill:#FFFFFF}.seen{fill:#EEF0F3}.kept{fill:#0072B2}.back{fill:#FFF6E5;stroke:#B36B00;stroke-width:1.5;"
    "stroke-dasharray:4 3}.bar{fill:#9AA0A8}text.on{fill:#FFFFFF;font-weight:600}.line{stroke:#C9CDD3}"
    "@media(prefers-color-scheme:dark){text{fill:#E6E8EB}.quiet{fill:#A4ABB5}.ground{fill:#16181D}.seen{fill:#272B33}"
    ".kept{fill:#56B4E9}.back{fill:#33270F;stroke:#F0A04B}.bar{fill:#7C838E}text.on{fill:#10131A}.line{stroke:#3A404A}}"
)


def probabilities(mode: Mode) -> list[float]:
    """Return the made-up probability of each word where the share t + rho is masked."""
    return [RARE.get(word, 0.9) * (1 - 0.55 * (mode.t + mode.rho)) for word in WORDS]


def choose(mode: Mode) -> tuple[list[bool], list[bool]]:
    """Return which words are masked at t + rho, and which of them are trained."""
    ids = torch.arange(1, len(WORDS) + 1)[None]
    score = torch.tensor([probabilities(mode)]).log()
    taken = lift_batch(
        ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([mode.t]), torch.tensor([mode.rho]),
        torch.tensor([mode.order]), lambda *_: score, mask_token_id=0, seed=mode.seed, example_id=torch.tensor([0]),
    )  # fmt: skip
    return taken.is_masked[0].tolist(), (taken.batch.labels[0] != -100).tolist()


def cell(column: int, y: int, word: str, probability: float, is_masked: bool, is_kept: bool) -> list[str]:
    x, middle = LEFT + column * CELL, LEFT + column * CELL + CELL / 2 - 1
    look = "kept" if is_kept else "back" if is_masked else "seen"
    parts = [
        f'<rect class="{look}" x="{x + 2}" y="{y}" width="{CELL - 6}" height="30" rx="5"/>',
        f'<text class="{"on" if is_kept else ""}" x="{middle}" y="{y + 20}" text-anchor="middle">{escape(word)}</text>',
    ]
    if is_masked:
        bar = round(34 * probability, 1)
        parts.append(f'<rect class="bar" x="{middle - 7}" y="{y - 6 - bar}" width="14" height="{bar}"/>')
    return parts


def panel(mode: Mode, y: int) -> list[str]:
    is_masked, is_kept = choose(mode)
    kept, masked = sum(is_kept), sum(is_masked)
    chosen = {EASY: "the likeliest", MIDDLE: "any", HARD: "the least likely"}[mode.order]
    parts = [
        f'<text class="b" x="16" y="{y - 4}">{mode.name}</text>',
        f'<text x="16" y="{y + 14}">{escape(mode.when)}</text>',
        f'<text class="quiet" x="16" y="{y + 32}">here t = {mode.t:g}</text>',
        f'<text class="quiet" x="{LEFT + 4}" y="{y + 52}">masked at t + rho = {mode.t + mode.rho:.2f}: {masked} of '
        f"{len(WORDS)}; {kept} trained, {chosen} of them; {masked - kept} put back</text>",
    ]
    for column, word in enumerate(WORDS):
        parts += cell(column, y, word, probabilities(mode)[column], is_masked[column], is_kept[column])
    return parts


def legend() -> list[str]:
    parts, x = [], 16
    for look, words in (("kept", "masked and trained"), ("back", "masked, then put back"), ("seen", "never masked")):
        parts.append(f'<rect class="{look}" x="{x}" y="16" width="22" height="16" rx="4"/>')
        parts.append(f'<text x="{x + 30}" y="29">{words}</text>')
        x += 195
    parts.append(f'<rect class="bar" x="{x}" y="16" width="10" height="16"/>')
    parts.append(f'<text x="{x + 18}" y="29">probability that the model gives the masked word</text>')
    return parts


def draw() -> str:
    width, height = LEFT + CELL * len(WORDS) + 14, TOP + ROW * len(MODES)
    words = "The three modes of LIFT on one sentence: which masked words are trained, and which are put back"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{words}">',
        f"<title>{words}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
        *legend(),
    ]  # fmt: skip
    for row, mode in enumerate(MODES):
        y = TOP + row * ROW + 48
        parts.append(f'<line class="line" x1="16" x2="{width - 16}" y1="{y - 54}" y2="{y - 54}"/>')
        parts += panel(mode, y)
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")

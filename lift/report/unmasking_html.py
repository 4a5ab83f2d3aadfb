"""An unmasking as a page of its own: to play, stop and wind, with each token's confidence beside the pointer."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from string import Template

from lift.report.unmasking import LEVELS, Unmasking, level_of


def render(unmasking: Unmasking) -> bytes:
    """Return the page, which needs nothing from anywhere."""
    spans = [
        [
            {
                "text": span.cell.text,
                "level": None if span.cell.confidence is None else level_of(span.cell.confidence),
                "share": None if span.cell.confidence is None else f"{span.cell.confidence:.1%}",
                "start": span.start,
            }
            for span in unmasking.spans(position)
        ]
        for position in range(len(unmasking.frames[-1]))
    ]
    data = {"frames": len(unmasking.frames), "milliseconds": 1000 * unmasking.seconds_a_frame, "spans": spans}
    levels = range(len(LEVELS))
    folder = resources.files("lift.report")
    page = Template((folder / "unmasking.html").read_text("utf-8")).substitute(
        player=(folder / "page_parts" / "player.js").read_text("utf-8"),
        title=escape(unmasking.title),
        # A text that ends the script is one no longer.
        data=json.dumps(data).replace("<", "\\u003c"),
        light="".join(f"--l{n}:{LEVELS[n].on_light};" for n in levels),
        dark="".join(f"--l{n}:{LEVELS[n].on_dark};" for n in levels),
        legend="".join(f'<span class="l{n}">{escape(LEVELS[n].words)}</span> ' for n in levels),
        final=escape("".join(cell.text or "" for cell in unmasking.frames[-1])),
    )
    return page.encode()

"""An unmasking as one SVG, moved by SMIL, which browsers run inside a page's `img` too."""

from __future__ import annotations

from html import escape

from lift.report.unmasking import COLUMNS, LEVELS, MASK, Place, Span, Unmasking, legend_words, level_of, shown

_ADVANCE, _LINE, _MARGIN, _SIZE = 8.4, 22, 16, 14  # pixels: of a column, a line, around, of a letter
_FIRST = 3  # line of the text, below a legend and the title
_LAST = 4  # frames for which the end stands still


def render(unmasking: Unmasking) -> bytes:
    """Return the file. Whoever shows no motion shows the end."""
    places = unmasking.places()
    num_lines = _FIRST + 1 + max(place.line for place in places)
    width, height = round(2 * _MARGIN + COLUMNS * _ADVANCE), 2 * _MARGIN + num_lines * _LINE
    length = len(unmasking.frames) + _LAST
    seconds = length * unmasking.seconds_a_frame
    title = escape(unmasking.title_line)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{_style()}</style>",
        f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
        _legend(),
        f'<text class="quiet" x="{_x(0)}" y="{_y(1)}">{escape(unmasking.heading)}</text>',
    ]
    for position, place in enumerate(places):
        for span in unmasking.spans(position):
            parts.append(_drawn(span, place, len(unmasking.frames), length, seconds))
    return "\n".join([*parts, "</svg>\n"]).encode()


def _style() -> str:
    light = "".join(f".l{n}{{fill:{level.on_light}}}" for n, level in enumerate(LEVELS))
    dark = "".join(f".l{n}{{fill:{level.on_dark}}}" for n, level in enumerate(LEVELS))
    return (
        f"text{{font:{_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        "white-space:pre;fill:#30343B}.ground{fill:#FFFFFF}.mask,.quiet{fill:#6B7079}"
        f"{light}.l{len(LEVELS) - 1}{{text-decoration:underline}}"
        f"@media(prefers-color-scheme:dark){{text{{fill:#E6E8EB}}.ground{{fill:#16181C}}.mask,.quiet{{fill:#9AA0A8}}{dark}}}"
    )


def _legend() -> str:
    parts, column = [], 0
    looks = [f"l{number}" for number in range(len(LEVELS))]
    for look, words in zip(["quiet", *looks, "mask"], legend_words(), strict=True):
        parts.append(f'<text class="{look}" x="{_x(column)}" y="{_y(0)}">{escape(words)}</text>')
        column += len(words) + 2
    return "\n".join(parts)


def _drawn(span: Span, place: Place, num_frames: int, length: int, seconds: float) -> str:
    cell, y = span.cell, _y(place.line + _FIRST)
    if cell.text is None:
        look, text, x, fit = "mask", MASK, _x(place.column + (place.width - 1) / 2), ""
    else:
        text = shown(cell.text)
        if not text.strip():
            return ""
        look = "" if cell.confidence is None else f"l{level_of(cell.confidence)}"
        x = _x(place.column + len(text) - len(text.lstrip()))
        text = text.strip()
        fit = f' textLength="{place.width * _ADVANCE - (x - _x(place.column)):.1f}"' if len(text) > 1 else ""
    is_last = span.end == num_frames
    known = "" if cell.confidence is None else f"<title>{cell.confidence:.1%}</title>"
    hidden = "" if is_last else ' opacity="0"'
    opening = f'<text class="{look}" x="{x:.1f}" y="{y}"{fit}{hidden}>'
    return f"{opening}{known}{_motion(span, is_last, length, seconds)}{escape(text)}</text>"


def _motion(span: Span, is_last: bool, length: int, seconds: float) -> str:
    if span.start == 0 and is_last:
        return ""
    times, values = [span.start / length], ["1"]
    if span.start:
        times, values = [0.0, *times], ["0", *values]
    if not is_last:
        times, values = [*times, span.end / length], [*values, "0"]
    return (
        f'<animate attributeName="opacity" calcMode="discrete" dur="{seconds:.2f}s" repeatCount="indefinite" '
        f'keyTimes="{";".join(f"{time:.4g}" for time in times)}" values="{";".join(values)}"/>'
    )


def _x(column: float) -> float:
    return round(_MARGIN + column * _ADVANCE, 1)


def _y(line: int) -> int:
    return _MARGIN + _SIZE + line * _LINE

"""An unmasking as an animated GIF, for whoever shows neither pages nor SVG."""

from __future__ import annotations

import io
from typing import Any

from lift.errors import LiftError
from lift.report.unmasking import COLUMNS, LEVELS, MASK, Cell, Place, Unmasking, legend_words, level_of, shown

_ADVANCE, _LINE, _MARGIN, _SIZE = 9, 22, 16, 15  # pixels: of a column, a line, around, of a letter
_FIRST = 3  # line of the text, below a legend and the title
_LAST_SECONDS = 2.0
_INK, _GROUND, _QUIET = "#30343B", "#FFFFFF", "#6B7079"


def render(unmasking: Unmasking) -> bytes:
    """Return the file; it begins again and again."""
    try:
        from matplotlib import get_data_path
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise LiftError(
            "a .gif needs matplotlib's font and pillow, which are not installed: pip install 'lift-kernels[plot]'."
        ) from error
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSansMono.ttf", _SIZE)
    places = unmasking.places()
    size = (2 * _MARGIN + COLUMNS * _ADVANCE, 2 * _MARGIN + (_FIRST + 1 + max(place.line for place in places)) * _LINE)
    pictures = []
    for frame in unmasking.frames:
        picture = Image.new("RGB", size, _GROUND)
        _draw(ImageDraw.Draw(picture), frame, places, font, unmasking.heading)
        pictures.append(picture.quantize(64))
    milliseconds = [round(1000 * unmasking.seconds_a_frame)] * len(pictures)
    milliseconds[-1] += round(1000 * _LAST_SECONDS)
    file = io.BytesIO()
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=True
    )
    return file.getvalue()


def _draw(draw: Any, frame: Any, places: list[Place], font: Any, heading: str) -> None:
    column = 0
    colours = [_QUIET, *(level.on_light for level in LEVELS), _QUIET]
    for colour, words in zip(colours, legend_words(), strict=True):
        _write(draw, Place(0, column, len(words)), words, colour, font, words == LEVELS[-1].words)
        column += len(words) + 2
    _write(draw, Place(1, 0, len(heading)), heading, _QUIET, font)
    cell: Cell
    for cell, (line, start, width) in zip(frame, places, strict=True):
        place = Place(line + _FIRST, start, width)
        if cell.text is None:
            _write(draw, place._replace(column=start + (width - 1) // 2), MASK, _QUIET, font)
        else:
            level = None if cell.confidence is None else level_of(cell.confidence)
            colour = _INK if level is None else LEVELS[level].on_light
            _write(draw, place, shown(cell.text), colour, font, level == len(LEVELS) - 1)


def _write(draw: Any, place: Place, text: str, colour: str, font: Any, is_underlined: bool = False) -> None:
    left, top = _MARGIN + place.column * _ADVANCE, _MARGIN + place.line * _LINE
    draw.text((left, top), text, fill=colour, font=font)
    if is_underlined and text.strip():
        start = left + (len(text) - len(text.lstrip())) * _ADVANCE
        draw.line((start, top + _SIZE + 3, left + place.width * _ADVANCE - 1, top + _SIZE + 3), fill=colour)

"""The SVG of an unmasking: well formed, and what it shows at each time."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from lift.report import Cell, Unmasking
from lift.report.unmasking_svg import render

SVG = "{http://www.w3.org/2000/svg}"


def shown_at(root, share: float) -> list[str]:
    """The texts behind the legend that are visible at a share of the period, as SMIL says."""
    found = []
    for text in root.findall(f"{SVG}text")[6:]:
        motion = text.find(f"{SVG}animate")
        opacity = text.get("opacity", "1")
        if motion is not None:
            times = [float(time) for time in motion.get("keyTimes").split(";")]
            assert times[0] == 0 and times == sorted(times) and motion.get("calcMode") == "discrete"
            opacity = motion.get("values").split(";")[sum(time <= share for time in times) - 1]
        if opacity == "1":
            found.append("".join(text.itertext()).strip())
    return found


def test_each_step_is_shown_in_its_turn_and_the_last_one_without_motion(unmasking):
    root = ElementTree.fromstring(render(unmasking))
    assert root.get("aria-label") == 'a "title" </script>'
    length = len(unmasking.frames) + 4
    masked = "\N{MIDDLE DOT}"
    steps = [
        [masked] * 3,
        [masked, "20.0%&", masked],
        ["97.0%Hello", "20.0%&", masked],
        ["97.0%Hello", "60.0%<world>", masked],
    ]
    steps.append(["97.0%Hello", "60.0%<world>", "90.0%end"])
    for number, expected in enumerate(steps):
        assert sorted(shown_at(root, (number + 0.5) / length)) == sorted(expected)
    still = [text for text in root.findall(f"{SVG}text")[6:] if text.get("opacity", "1") == "1"]
    assert ["".join(text.itertext()) for text in still] == ["97.0%Hello", "60.0%<world>", "90.0%end"]


def test_what_xml_forbids_breaks_no_picture():
    text = "a\x00\x0c\x1b\ufffe\tb"
    root = ElementTree.fromstring(render(Unmasking(text, [[Cell(None)], [Cell(text, 0.9)]])))
    assert root.get("aria-label") == "a b" and shown_at(root, 0.9) == ["90.0%a    b"]


@pytest.mark.parametrize("scheme", ["@media(prefers-color-scheme:dark)", "text-decoration:underline"])
def test_it_is_readable_on_dark_ground_and_without_colour(unmasking, scheme):
    assert scheme in render(unmasking).decode()

"""Steps of a text as data: what a position shows and where it stands, whatever the file."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from lift import LiftError
from lift.report import Cell, Unmasking, check_unmasking_path, save_unmasking
from lift.report.unmasking import COLUMNS, LEVELS, Place, Span, level_of

A, B, MASKED = Cell("a", 0.95), Cell("b", 0.5), Cell(None)


def test_a_position_shows_one_thing_from_step_to_step():
    found = Unmasking("", [[MASKED, A], [MASKED, A], [B, A], [A, A]])
    assert found.spans(0) == [Span(MASKED, 0, 2), Span(B, 2, 3), Span(A, 3, 4)]
    assert found.spans(1) == [Span(A, 0, 4)]


def test_places_are_those_of_the_last_text_in_lines_that_fit():
    cells = [Cell("ab"), Cell("\n"), Cell("x" * 70), Cell(" yz"), Cell("漢"), Cell(None), Cell("")]
    assert Unmasking("", [cells]).places() == [
        Place(0, 0, 2), Place(0, 2, 0), Place(1, 0, 70), Place(2, 0, 3), Place(2, 3, 2), Place(2, 5, 1), Place(2, 6, 0),
    ]  # fmt: skip
    assert 70 + 3 > COLUMNS


def test_every_confidence_has_a_level():
    assert [level_of(share) for share in (1.0, 0.9, 0.89, 0.5, 0.49, 0.0)] == [0, 0, 1, 1, 2, 2]
    assert LEVELS[-1].least == 0


def test_long_runs_are_shown_faster():
    assert Unmasking("", [[A]] * 4).seconds_a_frame == 0.5
    assert Unmasking("", [[A]] * 240).seconds_a_frame == 0.05


def test_a_heading_is_one_line_that_fits():
    assert Unmasking(" a\n b ", [[A]]).heading == "a b"
    for title in ("x" * 200, "漢" * 50):
        heading = Unmasking(title, [[A]]).heading
        assert heading.endswith("…") and COLUMNS - 1 <= cell_len(heading) <= COLUMNS


def test_characters_without_a_glyph_are_left_out_of_lines():
    cells = [Cell("a\r\n"), Cell("\t\x0cb\x00"), Cell("\u2028")]
    assert Unmasking("", [cells]).places() == [Place(0, 0, 1), Place(1, 0, 5), Place(1, 5, 0)]
    assert Unmasking("a\x1b[1m\tb", [[A]]).heading == "a [1m b"


def test_other_files_are_refused(tmp_path):
    with pytest.raises(LiftError, match=r"run.png must end in .gif, .html, .svg, got '.png'"):
        save_unmasking(tmp_path / "run.png", Unmasking("", [[A]]))
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(LiftError, match=r"folder.svg is a folder: name a file"):
        check_unmasking_path(tmp_path / "folder.svg")
    with pytest.raises(LiftError, match="there is no folder"):
        check_unmasking_path(tmp_path / "gone" / "run.svg")

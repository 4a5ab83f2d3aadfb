"""Tables of plain text."""

from __future__ import annotations

from lift.cli.text_table import text_table


def test_text_stands_to_the_left_and_numbers_to_the_right():
    assert text_table(("a", "n"), [("long", "1"), ("b", "100")], text_columns=(0,)).splitlines() == [
        "a       n", "---------", "long    1", "b     100",
    ]  # fmt: skip

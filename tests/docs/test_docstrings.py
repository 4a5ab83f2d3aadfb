"""Sections of docstrings that begin on the line of their name become paragraphs, and fields have their help."""

from __future__ import annotations

from tests.docs.site_modules import load

DOCSTRING = """Summary.

Args:
    rows: of the table,
        all of them.

Returns: the table, complete once
    every process is here.

Raises: LiftError if a ratio is out of range.
Source: LIFT, section 3.

Raises:
    ValueError: the other form.
"""


def test_sections_on_one_line():
    changed = load("docstrings").as_paragraphs(DOCSTRING)
    assert "**Returns**: the table, complete once\nevery process is here.\n" in changed
    assert "\n**Raises**: LiftError if a ratio is out of range.\n" in changed
    assert "\n**Source**: LIFT, section 3.\n" in changed
    assert changed.endswith("Raises:\n    ValueError: the other form.\n")
    assert "Args:\n    rows: of the table,\n        all of them.\n" in changed


def test_a_field_has_the_help_of_its_flag_and_its_default():
    texts = load("docstrings").field_help("lift.objectives.options", "LiftOptions")
    default, text = texts["method"]
    assert default == "'lift3'" and text.startswith("What to train on: sft, lift2,")
    assert texts["mode_scope"][1].endswith("Published code: batch.")

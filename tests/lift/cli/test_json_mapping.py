"""Mappings as JSON."""

from __future__ import annotations

import pytest

from lift.cli.json_mapping import parse_mapping
from lift.errors import LiftError


def test_a_mapping_is_read():
    assert parse_mapping("name", '{"a": {"b": [1, null]}, "c": true}') == {"a": {"b": [1, None]}, "c": True}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "name must be a mapping, JSON on the command line, got '[1]'."),
        ("{a: 1}", "name must be a mapping, JSON on the command line, got '{a: 1}'."),
        ("", "name must be a mapping, JSON on the command line, got ''."),
        ("[" * 100_000, f"name must be a mapping, JSON on the command line, got '{'[' * 60}...'."),
        ('{"a": 1, "b": 2, "a": 1}', "name: the key 'a' stands twice: keep one."),
        ('{"a": {"b": 1, "b": 2}}', "name: the key 'b' stands twice: keep one."),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_none_is_named(text, sentence):
    with pytest.raises(LiftError) as error:
        parse_mapping("name", text)
    assert str(error.value) == sentence


def test_what_is_wanted_can_be_said_otherwise():
    with pytest.raises(LiftError, match=r"^name must be one of those, got '3'\.$"):
        parse_mapping("name", "3", "one of those")

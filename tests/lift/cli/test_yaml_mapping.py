"""Files of `key: value` lines: what is read from them, and what is refused."""

from __future__ import annotations

import pytest

from lift.cli.yaml_mapping import in_words, read_mapping
from lift.errors import LiftError


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("a: 1\nb: 1.5e-3\nc: null\nd: x y\n", {"a": 1, "b": 0.0015, "c": None, "d": "x y"}),
        ("1: a\n", {"1": "a"}),
        ("a: true\nb: False\n", {"a": True, "b": False}),
        ("a: no\nb: off\nc: Yes\nd: 'on'\n", {"a": "no", "b": "off", "c": "Yes", "d": "on"}),
        ("a: {b: no, c: [on]}\n", {"a": {"b": False, "c": [True]}}),
        ("a: &x {b: 1}\nc: *x\nd: *x\n", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("a: {k: 1}\nb: {k: 2}\n", {"a": {"k": 1}, "b": {"k": 2}}),
    ],
)
def test_keys_and_values_are_read(text, mapping):
    assert read_mapping("f.yaml", text) == mapping


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", "1 and 3"),
        ("a: 1\n'a': 1\n", "a", "1 and 2"),
        ("{a: 1, a: 2}", "a", "1 and 1"),
        ("a:\n  b: 1\n  b: 2\n", "b", "2 and 3"),
        ("a:\n- {b: 1}\n- {b: 1, b: 2}\n", "b", "3 and 3"),
    ],
)
def test_a_key_that_stands_twice_is_refused_wherever_it_stands(text, key, lines):
    with pytest.raises(LiftError) as error:
        read_mapping("f.yaml", text)
    assert str(error.value) == f"f.yaml: the key {key!r} stands twice, in lines {lines}: keep one."


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "a: 1\n---\nb: 2",
        "a: &x [*x]",
        "a: !!python/name:os.x",
        "a: !!int x",
        "a: 2024-13-45",
        "\0",
        "[" * 5000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_not_valid_is_one_sentence(text):
    with pytest.raises(LiftError, match=r"^f.yaml is not valid YAML: [^\n]*\.$"):
        read_mapping("f.yaml", text)


@pytest.mark.parametrize(("text", "got"), [("- a", "a list"), ("a", "'a'"), ("3", "3")])
def test_something_else_is_named(text, got):
    with pytest.raises(LiftError, match=f"^f.yaml must hold 'key: value' lines, got {got}.$"):
        read_mapping("f.yaml", text)


def test_values_in_words():
    assert [in_words(value) for value in (None, {}, [], "a", 1)] == ["null", "a mapping", "a list", "'a'", "1"]

from __future__ import annotations

from benchmarks.harness.error_record import describe_error


def raising():
    raise ValueError("first line\nsecond line " + "x" * 9000)


def test_an_error_is_a_sentence_and_the_end_of_its_traceback():
    try:
        raising()
    except ValueError as error:
        record = describe_error(error)
    assert record["sentence"] == "ValueError: first line"
    assert len(record["traceback"]) == 6000 and record["traceback"].endswith("x\n")


def test_a_short_traceback_says_where():
    try:
        {}["a"]
    except KeyError as error:
        assert "test_error_record" in describe_error(error)["traceback"]

"""The line that says how fast answers were written."""

from __future__ import annotations

from lift.cli.decoding_speed import DecodingSpeed, together


def test_rates_are_those_of_all_processes_together():
    found = together([DecodingSpeed(3, 40, 10, 5, 2.0), DecodingSpeed(1, 10, 10, 5, 1.0)])
    assert found == DecodingSpeed(4, 50, 20, 10, 2.0)
    assert found.sentence() == "4 answers, 50 tokens in 2.0 s: 25.0 tokens/s, 2.50 tokens a forward, 5.0 forwards/s"


def test_a_run_that_had_nothing_to_do_says_so():
    assert DecodingSpeed().sentence().startswith("0 answers, 0 tokens in 0.0 s: 0.0 tokens/s")

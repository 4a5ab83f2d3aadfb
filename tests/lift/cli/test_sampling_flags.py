"""Each setting of a sampler is a flag of `lift sample`."""

from __future__ import annotations

import dataclasses

import pytest

from lift import LiftError
from lift.cli.parser import SentenceParser
from lift.cli.sampling_flags import add_sampling_flags, sampling_config
from lift.sampling import SamplingConfig, preset


def parsed(*words: str, record: dict[str, str] | None = None) -> SamplingConfig:
    parser = SentenceParser(prog="lift sample")
    add_sampling_flags(parser)
    return sampling_config(parser.parse_args(words), record or {})


def test_without_flags_the_defaults():
    assert parsed() == SamplingConfig()
    assert parsed("--sampler", "llada2") == preset("llada2")


def test_flags_win_over_the_sampler():
    found = parsed("--sampler", "sdar", "--temperature", "0.5", "--block_length", "8", "--early_stop", "false")
    assert found == preset("sdar", temperature=0.5, block_length=8, early_stop=False)
    assert parsed("--sampler", "llada", "--reference_quirks") == preset("llada", reference_quirks=True)
    assert parsed("--stop_ids", "3", "4", "--infill").stop_ids == (3, 4)
    found = parsed("--cache", "prefix", "--shift", "none", "--attention", "block_causal")
    assert (found.cache, found.shift) == ("prefix", "none")


def test_flags_win_over_the_training():
    blocks = {"attention": "block", "block_size": "4"}
    assert parsed("--gen_length", "6", record=blocks).block_length == 4  # blocks of a row need not divide its answer
    found = parsed("--block_length", "3", "--cache", "none", record=blocks)
    assert (found.attention, found.block_length, found.cache) == ("block_causal", 3, None)
    assert parsed("--attention", "full", record=blocks) == SamplingConfig()


def test_each_setting_has_a_flag_whose_help_fits_the_screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = SentenceParser(prog="lift sample")
    add_sampling_flags(parser)
    text = parser.format_help()
    assert max(map(len, text.splitlines())) <= 80
    for field in dataclasses.fields(SamplingConfig):
        assert f"--{field.name} " in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--temperature", "-1"], "--temperature must be at least 0, got -1"),
        (["--remasking", "best"], "--remasking must be one of low_confidence, margin"),
        (["--sampler", "d1"], "--sampler must be one of llada, lift"),
        (["--early_stop", "no"], "--early_stop must be true or false, got 'no'"),
        (["--threshold", "0.5", "--factor", "1"], "^threshold and factor exclude each other"),
        (["--reference_quirks"], "--reference_quirks are those of a published sampler: add --sampler"),
    ],
)
def test_what_does_not_fit_is_one_sentence(words, sentence):
    with pytest.raises(LiftError, match=sentence):
        parsed(*words)

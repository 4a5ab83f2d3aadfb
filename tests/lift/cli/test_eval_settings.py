"""The YAML file of `lift eval`."""

from __future__ import annotations

import pytest

from lift.cli.eval_settings import read_options
from lift.cli.parser import SentenceParser
from lift.errors import LiftError


def read(tmp_path, text, *words):
    parser = SentenceParser(prog="lift eval")
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--data_files", nargs="+")
    parser.add_argument("--steps", type=int, within="[1, inf)")
    parser.add_switch("run_generated_code", "")
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return vars(read_options(parser, [str(path), *words]))


def test_keys_are_flags_and_a_flag_wins(tmp_path):
    text = "tasks: [a, b]\ndata_files: {a: x.csv, b: y.csv}\nsteps: 4\nrun_generated_code: true\n"
    expected = {"tasks": "a,b", "data_files": ["a=x.csv", "b=y.csv"], "steps": 4, "run_generated_code": True}
    assert read(tmp_path, text) == expected
    assert read(tmp_path, text, "--steps", "8", "--tasks", "c") == expected | {"steps": 8, "tasks": "c"}
    assert read(tmp_path, "tasks: a,b\ndata_files: [a=x]\nsteps: null")["data_files"] == ["a=x"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tsks: a", "run.yaml: unknown key 'tsks', did you mean 'tasks'?"),
        ("tasks: a\nsteps: 0", "--steps must be at least 1, got 0."),
        ("- a", "must hold 'key: value' lines, got a list."),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(LiftError) as error:
        read(tmp_path, text)
    assert str(error.value).endswith(sentence)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(LiftError, match=r"no configuration file at nowhere\.yaml: check the path\."):
        read_options(SentenceParser(prog="lift eval"), ["nowhere.yaml"])

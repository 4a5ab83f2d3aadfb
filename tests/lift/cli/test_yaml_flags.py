"""The YAML file of `lift eval` and `lift sample`."""

from __future__ import annotations

import pytest

from lift.cli.parser import SentenceParser
from lift.cli.yaml_flags import read_options
from lift.errors import LiftError


def read(tmp_path, text, *words):
    parser = SentenceParser(prog="lift eval")
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--prompt", action="append")
    parser.add_argument("--system")
    parser.add_argument("--data_files", nargs="+")
    parser.add_argument("--steps", type=int, within="[1, inf)")
    parser.add_switch("run_generated_code", "")
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return vars(read_options(parser, [str(path), *words]))


def test_keys_are_flags_and_a_flag_wins(tmp_path):
    text = "tasks: [a, b]\ndata_files: {a: x.csv, b: y.csv}\nsteps: 4\nrun_generated_code: true\n"
    expected = {
        "prompt": None,
        "system": None,
        "tasks": "a,b",
        "data_files": ["a=x.csv", "b=y.csv"],
        "steps": 4,
        "run_generated_code": True,
    }
    assert read(tmp_path, text) == expected
    assert read(tmp_path, text, "--steps", "8", "--tasks", "c") == expected | {"steps": 8, "tasks": "c"}
    assert read(tmp_path, "tasks: a,b\ndata_files: [a=x]\nsteps: null")["data_files"] == ["a=x"]


def test_prompts_may_be_a_list_which_those_of_the_command_replace(tmp_path):
    text = 'tasks: a\nprompt: ["0204", "-b"]\n'
    assert read(tmp_path, text)["prompt"] == ["0204", "-b"]
    assert read(tmp_path, text, "--prompt", "c")["prompt"] == ["c"]
    assert read(tmp_path, "tasks: a\nprompt: b")["prompt"] == ["b"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tsks: a", "run.yaml: unknown key 'tsks', did you mean 'tasks'?"),
        ("tasks: a\nsteps: 0", "run.yaml: steps must be at least 1, got 0."),
        ("steps: many", "run.yaml: steps must be a whole number, got 'many'."),
        ("steps: [1, 2]", "run.yaml: steps takes one value, got a list of 2."),
        ("tasks: a\nprompt: [b, 0204]", "run.yaml: prompt must be text, got 132: put it in quotes."),
        ("tasks: a\nsystem: 7", "run.yaml: system must be text, got 7: put it in quotes."),
        ("steps: 1", "the following arguments are required: --tasks."),
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

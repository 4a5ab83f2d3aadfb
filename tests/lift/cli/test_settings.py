"""Files of settings: what is taken from them, and how each mistake is named with its file, key and remedy."""

from __future__ import annotations

import pytest

from lift.cli.settings import Setting, check_keys, flags_of, take_settings
from lift.errors import LiftError
from lift.recipes import preset_names

KNOWN = {"lora_r", "lora_alpha", "learning_rate", "max_steps", "model_config"}


def write(tmp_path, text, name="mine.yaml") -> str:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(tmp_path / name)


def test_file_and_preset_are_taken_out_and_the_file_wins(tmp_path):
    path = write(tmp_path, "learning_rate: 0.5\nseed: null\nnew: 1\n")
    for words in ([path, "--preset", "sudoku", "--bf16"], [path, "--bf16", "--preset=sudoku"]):
        rest, settings = take_settings(words)
        assert rest == ["--bf16"]
        found = {setting.key: setting for setting in settings}
        assert found["learning_rate"] == Setting("learning_rate", 0.5, path)
        assert found["task"] == Setting("task", "sudoku", "preset sudoku")
        assert found["seed"].value is None and found["new"].value == 1
    assert take_settings(["--max_steps", "3"]) == (["--max_steps", "3"], [])
    assert take_settings([write(tmp_path, "", "empty.yaml")]) == ([], [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [1", "is not valid YAML"),
        ("- a\n- b\n", "must hold 'key: value' lines, got a list."),
        ("just words", "must hold 'key: value' lines, got 'just words'."),
        (b"a: \xff\xfe", "cannot be read as text in UTF-8"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path, text, complaint):
    path = write(tmp_path, text)
    with pytest.raises(LiftError) as error:
        take_settings([path])
    assert str(error.value).startswith(path) and complaint in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("words", [["--preset", "chess"], ["--preset=chess"]])
def test_an_unknown_preset_is_refused_with_the_list(words):
    with pytest.raises(LiftError, match=f"^unknown preset 'chess': use one of {', '.join(preset_names())}.$"):
        take_settings(words)


def test_a_missing_preset_name_or_file_is_refused():
    with pytest.raises(LiftError, match="unknown preset ''"):
        take_settings(["--preset"])
    with pytest.raises(LiftError, match=r"^--preset can be given once"):
        take_settings(["--preset", "sudoku", "--preset=llada-8b"])
    with pytest.raises(
        LiftError, match=r"^no configuration file at none\.yaml: check the path, or use --preset NAME\.$"
    ):
        take_settings(["none.yaml"])


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (None, []),
        (3, ["--key=3"]),
        (5e-06, ["--key=5e-06"]),
        (True, ["--key=True"]),
        ("-x y", ["--key=-x y"]),
        ([1, "b"], ["--key", "1", "b"]),
        ([], ["--key"]),
        ({"a": None, "b": [1]}, ['--key={"a": null, "b": [1]}']),
    ],
)
def test_a_setting_becomes_the_words_of_a_flag(value, flags):
    assert flags_of(Setting("key", value, "f.yaml")) == flags


@pytest.mark.parametrize(("item", "name"), [(None, "null"), ([1], "a list"), ({"a": 1}, "a mapping")])
def test_a_list_holds_plain_values_only(item, name):
    with pytest.raises(LiftError, match=f"^f.yaml: key must be a list of plain values, got {name} in it.$"):
        flags_of(Setting("key", ["a", item], "f.yaml"))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("lora", {"r": 8}, "f.yaml: unknown key 'lora', and keys are not nested: write lora_r: 8."),
        (
            "lora", {"r": 8, "alpha": 9, "x": 1},
            "f.yaml: unknown key 'lora', and keys are not nested: write lora_r: 8, lora_alpha: 9.",
        ),
        ("run", {"max_steps": 3}, "f.yaml: unknown key 'run', and keys are not nested: write max_steps: 3."),
        ("lora", {"rank": 8}, "f.yaml: unknown key 'lora', did you mean 'lora_r'?"),
        ("learning-rate", 1, "f.yaml: unknown key 'learning-rate', did you mean 'learning_rate'?"),
        ("lerning_rate", None, "f.yaml: unknown key 'lerning_rate', did you mean 'learning_rate'?"),
        ("zzz", 1, "f.yaml: unknown key 'zzz': lift train --help-all lists what there is."),
        (
            "num_train_puzzles", 1,
            "f.yaml: num_train_puzzles belongs to task sudoku or countdown: add task: sudoku, or leave it out.",
        ),
    ],
)  # fmt: skip
def test_an_unknown_key_is_named_with_a_remedy(key, value, sentence):
    settings = [Setting("max_steps", 1, "f.yaml"), Setting(key, value, "f.yaml")]
    with pytest.raises(LiftError) as error:
        check_keys(settings, KNOWN)
    assert str(error.value) == sentence


def test_known_keys_pass_whatever_they_hold():
    check_keys([Setting("model_config", {"lora_r": 1}, "f.yaml"), Setting("max_steps", None, "f.yaml")], KNOWN)

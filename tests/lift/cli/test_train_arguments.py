"""The two stages of reading a command line: the first is fast, and refuses nothing that the second takes."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import get_args, get_type_hints

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.cli.arguments import DataArguments, ModelArguments, RunArguments
from lift.cli.field_parser import FieldParser
from lift.cli.train_arguments import check_quickly, config_outline, parse, read_settings
from lift.errors import LiftError
from lift.objectives import METHODS, LiftOptions
from lift.recipes import preset_names
from lift.tasks import task_arguments
from lift.tasks.sudoku.arguments import Arguments
from lift.training import LiftConfig
from lift.training.batch_options import BatchOptions, TrainerDefaults
from tests.lift.cli.support import heavy_imports, preset_words

OWN = [ModelArguments, DataArguments, RunArguments, task_arguments("sudoku")]
ONE_FLAG = [
    [], ["1"], ["-1.5e-3"], ["False"], ["no"], ["steps"], ["linear"], ["auto"], ["adamw_torch"], ["exclude"], ["x y"],
    [""], ["{}"], ["a", "b"],
]  # fmt: skip


@pytest.fixture(scope="module")
def parsers() -> tuple[FieldParser, FieldParser]:
    """That of the first stage and that of the second, with the flags of a task."""
    outline = config_outline()
    assert outline is not None
    return FieldParser([*OWN, outline]), FieldParser([*OWN, LiftConfig])


def accepted(parser: FieldParser, words: list[str]) -> dict | None:
    try:
        return parser.parse(words, [])
    except LiftError:
        return None


def test_the_outline_has_the_fields_of_the_configuration_with_their_defaults_and_help():
    real = {f.name: f for f in dataclasses.fields(LiftConfig) if f.init}
    read = {f.name: f for f in dataclasses.fields(config_outline()) if f.init}
    assert list(read) == list(real)
    for name, field in read.items():
        assert field.metadata.get("help") == real[name].metadata.get("help")
    own = {f.name for f in dataclasses.fields(LiftOptions)} | {"max_length", "disable_tqdm", "remove_unused_columns"}
    assert all(read[name].default == real[name].default for name in own)


def test_the_first_stage_refuses_no_flag_and_no_value_that_the_second_takes(parsers):
    first, second = parsers
    assert first.names == second.names and len(first.names) > 150
    unsure = {f.name for f in dataclasses.fields(config_outline()) if "nargs" in f.metadata}
    num_accepted = 0
    for name in sorted(first.names):
        dashed = name.replace("_", "-")
        lines = [[f"--{name}", *words] for words in ONE_FLAG]
        lines += [[flag, *words] for flag in (f"--{dashed}", f"--no_{name}", f"--no-{dashed}") for words in ([], ["1"])]
        for line in lines:
            theirs = accepted(second, line)
            if theirs is not None:
                num_accepted += 1
                ours = accepted(first, line)
                assert ours is not None, line
                assert name in unsure or ours[name] == theirs[name], line
    assert num_accepted > 900


LIFT_FLAGS = {
    "method": [*METHODS, "lift4"], "one_forward": ["true", "false"], "learnability": ["hard", "soft", "x"],
    "complementary": ["true", "false"], "score_source": ["model", "cache", "frequency"],
    "timestep_distribution": ["uniform", "fixed"], "fixed_timestep": ["0.5", "2"], "cart_p": ["0.5", "1"],
    "shift_first": ["exclude", "zeros"], "lift_ignores_shift": ["true"], "reference_quirks": ["true"],
    "packing": ["true"], "pad_in_loss": ["false"], "max_length": ["16", "0"], "pad_to": ["longest", "max_length", "x"],
    "pad_to_multiple_of": ["8", "0"], "lora_r": ["4", "0"], "dtype": ["auto", "float64"], "seed": ["0", "-1"],
    "num_train_puzzles": ["5"], "train_data": ["rows.jsonl"], "task": ["sudoku", "countdown"], "model_config": ["{}"],
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([(name, value) for name, values in LIFT_FLAGS.items() for value in values]), max_size=4),
    st.sampled_from([["--task", "sudoku", "--model_name_or_path", "m"], ["--preset", "sudoku"], ["--train_data", "r"]]),
)
def test_the_first_stage_refuses_no_command_line_that_the_second_takes(flags, start):
    words = [*start, "--output_dir", "out", *(word for name, value in flags for word in (f"--{name}", value))]
    try:
        arguments = parse(words)
        arguments.model.check_model()  # what a run checks first
        arguments.data.check_source()
    except LiftError:
        return
    check_quickly(words)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_passes_both_stages(name, tmp_path):
    # The large ones ask for bfloat16, which transformers refuses without a GPU unless the CPU is asked for.
    words = [*preset_words(name), "--output_dir", str(tmp_path)]
    check_quickly(words)
    assert parse(words).config.output_dir == str(tmp_path)


def test_a_flag_wins_over_the_file_and_the_file_over_the_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"learning_rate": 0.5, "max_steps": 7, "output_dir": str(tmp_path / "out")}))
    arguments = parse([str(path), "--preset", "sudoku", "--max_steps", "9"])
    config = arguments.config
    assert (config.learning_rate, config.max_steps, config.method, arguments.data.task) == (0.5, 9, "lift3", "sudoku")


def test_settings_are_read_without_making_a_configuration(tmp_path, monkeypatch):
    words = ["--preset", "sudoku", "--seed", "3", "--output_dir", str(tmp_path / "out")]
    truth = parse(words)
    monkeypatch.setattr(LiftConfig, "__post_init__", lambda self: pytest.fail("it would choose a device"))
    values, settings = read_settings(words)
    assert settings == truth.settings and values["num_train_epochs"] == truth.config.num_train_epochs


def test_a_task_brings_its_own_flags(tmp_path):
    words = ["--output_dir", str(tmp_path)]
    task = ["--task=sudoku", "--num_train_puzzles", "5"]
    assert parse([*words, *task]).task == Arguments(num_train_puzzles=5)
    assert parse([*words, "--train_data", "rows.jsonl"]).task is None
    mine = tmp_path / "mine.yaml"
    mine.write_text("task: null\nnum_train_puzzles: 5\n")
    for flags, sentence in (
        (
            [str(mine)],
            "mine.yaml: num_train_puzzles belongs to task sudoku or countdown: add task: sudoku, or leave it out.",
        ),
        (
            ["--num_train_puzzles", "5"],
            "--num_train_puzzles belongs to task sudoku or countdown: add --task sudoku, or leave",
        ),
    ):
        for read in (check_quickly, parse):
            with pytest.raises(LiftError) as error:
                read([*flags, *words])
            assert sentence in str(error.value)
    with pytest.raises(LiftError, match="unknown task 'chess': use one of sudoku"):
        check_quickly([*words, "--task", "chess"])


@pytest.mark.parametrize("read", [check_quickly, parse])
def test_without_a_configuration_no_output_folder_is_guessed(read):
    with pytest.raises(LiftError, match="no output folder: pass --output_dir FOLDER"):
        read(["--preset", "sudoku"])


QUICK = {
    "a flag": (["--lerning_rate", "1"], "unknown argument '--lerning_rate', did you mean '--learning_rate'?"),
    "a value": (["--max_steps", "many"], "--max_steps must be a whole number, got 'many'."),
    "a choice": (["--pad-to", "x"], "--pad-to must be one of longest, max_length, got 'x'."),
    "the method": (["--method", "x"], f"method must be one of {', '.join(METHODS)}, got 'x'."),
    "a range": (["--min_rho", "1"], "min_rho must be at least 0 and below 1, got 1.0."),
    "a length": (["--max_length", "0"], "max_length must be at least 1, got 0."),
    "a rank": (["--lora_r", "0"], "lora_r must be at least 1, got 0."),
    "a combination": (["--learnability", "soft"], "learnability=soft belongs to one_forward"),
    "columns": (["--remove_unused_columns", "true"], "remove_unused_columns must be False"),
    "a format": (["--data_format", "gsm"], "data_format must be one of s1k"),
    "a number of transformers": (["--learning_rate", "nan"], "learning_rate must be at least 0, got nan."),
    "a number of rows": (["--num_eval_rows", "0"], "num_eval_rows must be at least 1, got 0."),
    "a number of puzzles": (["--num_test_puzzles", "-3"], "num_test_puzzles must be at least 1, got -3."),
    "an option of LoRA": (["--lora_r", "16"], "lora_r belongs to LoRA: pass --use_peft true too, or leave it out."),
    "a split of nothing": (["--eval_split", "test"], "eval_split belongs to eval_data: pass --eval_data too"),
    "a reporter": (["--report_to", "paper"], "report_to must be one of azure_ml, "),
    "a file": (["--fsdp_config", "none.json"], "fsdp_config: no file at none.json: check the path"),
    "a mapping": (["--lr_scheduler_kwargs", "{a"], "lr_scheduler_kwargs must be a mapping, JSON on the command line"),
    "two sources": (["--train_data", "r"], "pass either --task or --train_data, not both."),
    "two models": (["--model_name_or_path", "m"], "pass either --model_name_or_path or --model_config"),
}


@pytest.mark.parametrize("name", QUICK)
def test_both_stages_find(name):
    flags, sentence = QUICK[name]
    words = ["--preset", "sudoku", "--output_dir", "out", *flags]
    for read in (check_quickly, as_a_run_reads):
        with pytest.raises(LiftError) as error:
            read(words)
        assert str(error.value).startswith(sentence)


def as_a_run_reads(words: list[str]) -> None:
    arguments = parse(words)
    arguments.model.check_model()
    arguments.data.check_source()


def test_every_number_of_every_group_has_a_range():
    """Those of transformers stand in a table of their own, with a test of its own."""
    num_checked = 0
    for group in (*OWN, LiftOptions, BatchOptions, TrainerDefaults):
        hints = get_type_hints(group)
        for field in dataclasses.fields(group):
            if {int, float} & {hints[field.name], *get_args(hints[field.name])}:
                assert "within" in field.metadata, field.name
                num_checked += 1
    assert num_checked > 15


@pytest.mark.parametrize("group", [*OWN[:3], LiftOptions, BatchOptions])
def test_no_group_takes_a_number_that_is_none(group):
    for field in dataclasses.fields(group):
        if "within" not in field.metadata:
            continue
        with pytest.raises(LiftError, match=f"^{field.name} must be "):
            made = group(**{field.name: math.nan})
            getattr(made, {LiftOptions: "resolve_options", BatchOptions: "check_batch_options"}[group])()


def test_lora_may_be_switched_off_beside_its_options(tmp_path):
    words = ["--preset", "sudoku", "--output_dir", str(tmp_path), "--lora_r", "4", "--use_peft"]
    check_quickly([*words, "false"])
    assert not parse([*words, "false"]).model.use_peft
    mine = tmp_path / "mine.yaml"
    mine.write_text("lora_dropout: 0\nlora_alpha: null\n")
    with pytest.raises(LiftError, match=r"^lora_dropout belongs to LoRA"):
        check_quickly([str(mine), "--preset", "sudoku", "--output_dir", str(tmp_path / "out")])


def test_a_file_may_say_no_and_off(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("save_strategy: no\nbf16: off\ntime_scaling: no\nlogging_first_step: on\n")
    words = [str(mine), "--preset", "sudoku", "--output_dir", str(tmp_path / "out")]
    check_quickly(words)
    config = parse(words).config
    assert config.save_strategy == "no" and config.logging_first_step is True
    assert config.bf16 is config.time_scaling is False


def test_an_output_folder_is_looked_at_before_anything_is_read(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LiftError, match="file is a file: choose another"):
        check_quickly(["--preset", "sudoku", "--output_dir", str(tmp_path / "file" / "out")])


def test_the_first_stage_finds_a_folder_in_use_and_a_checkpoint_that_is_not_there(tmp_path):
    words = ["--preset", "sudoku", "--output_dir", str(tmp_path)]
    with pytest.raises(LiftError, match="no checkpoint in"):
        check_quickly([*words, "--resume_from_checkpoint", "true"])
    (tmp_path / "metrics.json").touch()
    with pytest.raises(LiftError, match="is not empty: choose another"):
        check_quickly(words)
    check_quickly([*words, "--overwrite_output_dir"])


def test_the_first_stage_loads_no_library():
    words = [
        "--preset",
        "llada-8b",
        "--output_dir",
        "out",
        "--model_config",
        json.dumps({"a": 1}),
        "--use_peft",
        "false",
    ]
    code = (
        "from lift.cli.train_arguments import check_quickly\n"
        f"try: check_quickly({words[:4]!r}); check_quickly({words!r})\n"
        "except ValueError as error: assert 'only one of them' in str(error), error\n"
        "else: raise SystemExit('accepted')"
    )
    assert not heavy_imports(code)


def test_where_transformers_cannot_be_read_the_classes_decide_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("lift.cli.train_arguments.training_arguments", lambda: None)
    words = ["--preset", "sudoku", "--output_dir", str(tmp_path)]
    check_quickly([*words, "--lerning_rate", "1"])
    with pytest.raises(LiftError, match="unknown argument '--lerning_rate'"):
        parse([*words, "--lerning_rate", "1"])
    assert parse(words).data.task == "sudoku"

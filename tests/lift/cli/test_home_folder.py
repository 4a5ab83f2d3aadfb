"""`~` is the home folder in every flag that names a file or a folder, of the command line and of a file."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

from lift.cli import analyze_arguments, compare, eval, measure_t_arguments, merge, sample
from lift.cli.comparison.options import read_options
from lift.cli.home_folder import expand_home
from lift.cli.train_arguments import read_settings
from lift.cli.yaml_flags import read_options as of_file
from lift.errors import LiftError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return str(tmp_path / "home")


def test_train_takes_it_from_the_command_line_and_from_a_file(tmp_path, home):
    (tmp_path / "run.yaml").write_text(
        "model_name_or_path: ~/bert\neval_data: [~/a.jsonl, b.jsonl]\ntokenizer_name_or_path: ~/t\n"
        "eval_tasks: gsm8k, ~/my.yaml\neval_task_files: [gsm8k=~/g.jsonl, ~/my.yaml=~/x=y]\n"
    )
    words = ["--output_dir=~/out", "--resume_from_checkpoint=~/out/checkpoint-1", "--train_data", "~/r.jsonl", "~"]
    for values in read_settings([str(tmp_path / "run.yaml"), *words]):
        assert (values["model_name_or_path"], values["eval_data"]) == (f"{home}/bert", [f"{home}/a.jsonl", "b.jsonl"])
        assert (values["output_dir"], values["tokenizer_name_or_path"]) == (f"{home}/out", f"{home}/t")
        assert values["resume_from_checkpoint"] == f"{home}/out/checkpoint-1"
        assert values["train_data"] == [f"{home}/r.jsonl", home]
        assert values["eval_tasks"] == f"gsm8k,{home}/my.yaml"
        assert values["eval_task_files"] == [f"gsm8k={home}/g.jsonl", f"{home}/my.yaml={home}/x=y"]


def test_sample_and_eval_take_it(tmp_path, home):
    (path := tmp_path / "run.yaml").write_text("output: ~/o\nprompts: ~/p.txt\n")
    options = of_file(sample._parser(), ["--model=~/m", "--save=~/a.gif"])
    assert (options.model, options.save) == (f"{home}/m", f"{home}/a.gif")
    options = of_file(sample._parser(), [str(path), "--model", "m", "--prompt", "~/text"])
    assert (options.output, options.prompts, options.prompt) == (f"{home}/o", f"{home}/p.txt", ["~/text"])
    words = ["--model=~/m", "--peft=~/a", "--output_dir=~/ev", "--tasks=a,~/t.yaml", "--data_files", "a=~/rows"]
    options = of_file(eval._parser(), words)
    assert (options.model, options.peft, options.output_dir) == (f"{home}/m", f"{home}/a", f"{home}/ev")
    assert (options.tasks, options.data_files) == (f"a,{home}/t.yaml", [f"a={home}/rows"])


def test_the_configuration_file_itself_may_have_it(home):
    Path(home).mkdir()
    (Path(home) / "run.yaml").write_text("model: ~/m\n")
    assert of_file(sample._parser(), ["~/run.yaml"]).model == f"{home}/m"


def test_the_commands_that_measure_take_it(home):
    words = ["--train_data=~/r.jsonl", "--model=~/m"]
    analysed = analyze_arguments.parse([*words, "--output_dir=~/an"])
    assert (analysed.own.output_dir, analysed.own.model) == (f"{home}/an", f"{home}/m")
    assert analysed.data.train_data == [f"{home}/r.jsonl"]
    assert measure_t_arguments.parse([*words, "--output=~/d.json"]).own.output == f"{home}/d.json"
    two = analyze_arguments.parse(["--output_dir", "x", "--compare", "~/a", "~/b"]).own
    assert two.compare == [f"{home}/a", f"{home}/b"]


def test_compare_and_merge_take_it(home, monkeypatch):
    options = compare._parser().parse_args(["~/a", "~/b", "--plot=~/p.png", "--page=~/p.html"])
    assert (options.runs, options.plot) == ([f"{home}/a", f"{home}/b"], Path(home) / "p.png")
    assert options.page == Path(home) / "p.html"
    options, _ = read_options(["--methods=sft,hard", "--output_dir=~/c", "--start=~/m"])
    assert (options.output_dir, options.start) == (f"{home}/c", f"{home}/m")
    with pytest.raises(LiftError, match=f"{home}/a is no adapter"):
        merge.run(["--model=~/a", "--output_dir=~/o"])


def test_what_names_no_path_stays(home):
    values = SimpleNamespace(run_name="~/a", system="~", train_data=["a~b", "~nobody-at-all/x"], output_dir=None)
    before = dict(vars(values))
    expand_home(values)
    assert vars(values) == before


@pytest.mark.parametrize("module", [eval, sample, merge, compare])
def test_every_flag_whose_help_names_a_file_or_a_folder_is_a_path(module, home):
    """A flag that is added without `home_folder` in mind is found here."""
    source = inspect.getsource(module)
    for line in source.split("parser.add_argument(")[1:]:
        name, text = line.split('"')[1].removeprefix("--"), line.split("parser.add_")[0]
        if any(word in text for word in ("FILE", "FOLDER", "folder or", "folder to")):
            value = "t=~/x" if name == "data_files" else "~/x"
            expand_home(values := SimpleNamespace(**{name: value}))
            assert getattr(values, name).endswith(f"{home}/x"), name

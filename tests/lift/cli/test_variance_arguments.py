"""The flags of `lift analyze --variance`, and what it takes from the configuration of a training."""

from __future__ import annotations

import dataclasses

from lift.cli.analyze_arguments import AnalyzeArguments, parse
from lift.cli.variance_arguments import objective_of, with_objective
from lift.objectives.time_density_file import DensityPoints, write_time_density

GIVEN = ["--model", "m", "--output_dir", "out"]


def test_variance_takes_methods_and_how_a_training_forms_its_gradient(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("task: sudoku\nmethod: lift2\nattention: block\nblock_size: 4\nno_such_thing: 1\n")
    parsed = parse([str(path), *GIVEN, "--variance", "sft, lift3", "mirror,sft", "--min_rho", "0.2"])
    assert parsed.own.variance == ["sft", "lift3", "mirror"] and parsed.own.variance_rows == 64
    objective = objective_of(parsed.own, "lift3")
    assert (objective["attention"], objective["block_size"], objective["min_rho"]) == ("block", 4, 0.2)
    assert parse([str(path), *GIVEN]).own.variance is None  # a file's options wait for one that asks for them


def test_the_help_spells_names_as_they_are():
    helps = {field.name: field.metadata["help"] for field in dataclasses.fields(with_objective(AnalyzeArguments))}
    assert helps["cart_p"].startswith("With variance: CART's decay")
    assert helps["min_rho"].startswith("With variance: lowest over-mask rate")


def test_a_density_is_of_the_methods_that_need_one(tmp_path):
    path = tmp_path / "density.json"
    write_time_density(path, DensityPoints((0.0, 1.0), (1.0, 1.0), None), {})
    words = [*GIVEN, "--task", "sudoku", "--time_density", str(path)]
    both = parse([*words, "--variance", "gift,ppots"]).own
    assert [objective_of(both, method)["time_density"] for method in both.variance] == [None, str(path)]
    alone = parse([*words, "--variance", "sft"]).own
    assert objective_of(alone, "sft")["time_density"] == str(path)

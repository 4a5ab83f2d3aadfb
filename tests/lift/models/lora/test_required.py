"""A package that is missing is one sentence with the remedy."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from lift.cli import main
from lift.errors import LiftError
from lift.models.lora.required import require


def test_a_package_that_is_there_is_no_matter(monkeypatch):
    require("torch", "training")
    monkeypatch.setitem(sys.modules, "torch", None)  # `find_spec` then finds nothing, as where it is not installed
    with pytest.raises(LiftError, match=r"^training needs torch, which is not installed: pip install torch\.$"):
        require("torch", "training")


@pytest.mark.parametrize(("package", "option"), [("peft", "use_peft"), ("bitsandbytes", "load_in_4bit")])
def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch, capsys, package, option):
    import_module("lift.cli.train")  # imports peft where it is installed: only what comes later finds none
    monkeypatch.setitem(sys.modules, package, None)
    arguments = ["train", "--use_peft", "true", f"--{option}", "true", "--output_dir", str(tmp_path / "out")]
    assert main(arguments) == 2
    expected = f"lift train: {option} needs {package}, which is not installed: pip install {package}.\n"
    assert capsys.readouterr() == ("", expected)

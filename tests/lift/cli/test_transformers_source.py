"""What is read of transformers from its source agrees with the classes themselves."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util

import pytest
import transformers

from lift.cli import transformers_source
from lift.cli.transformers_source import Unreadable, argument_parser_class, outline, training_arguments
from tests.lift.cli.support import heavy_imports


def test_every_flag_of_transformers_is_found_with_its_default_and_help():
    true = {f.name: f for f in dataclasses.fields(transformers.TrainingArguments) if f.init}
    read = {f.name: f for f in dataclasses.fields(training_arguments())}
    assert list(read) == list(true)
    for name, field in read.items():
        assert field.metadata.get("help") == true[name].metadata.get("help")
        # What is not a plain value in the source is left out.
        assert field.default in (true[name].default, None)
    differing = {name for name, field in read.items() if field.default != true[name].default}
    assert differing <= {"optim", "include_for_metrics", "log_level", "output_dir"}


def test_the_parser_is_transformers_own_code():
    ours, theirs = argument_parser_class(), transformers.HfArgumentParser
    assert issubclass(ours, argparse.ArgumentParser)
    assert ours._parse_dataclass_field.__code__.co_code == theirs._parse_dataclass_field.__code__.co_code


def test_reading_loads_no_library():
    code = "from lift.cli.transformers_source import *\nassert training_arguments() and argument_parser_class()"
    assert not heavy_imports(code)


def test_a_type_or_default_that_only_an_import_would_show_takes_any_words():
    group = outline(
        "class TrainingArguments:\n"
        "    a: int = field(default=3, metadata={'help': 'Words ' 'apart.', 'choices': other.CHOICES})\n"
        "    b: Kind | str = field(default=KIND)\n"
        "    c: bool = field(default=SOME)\n"
        "    d: Optional[Union[dict[str, Any], str]] = None\n"
        "    e: other.Kind = None\n"
        "    f: str = field(default='x', metadata={'nargs': MANY})\n"
        "    g: str = field(default='x', metadata=MARKS)\n"
        "    hidden: int = field(init=False)\n"
        "    CONSTANT = 3\n"
    )
    fields = {field.name: field for field in dataclasses.fields(group)}
    assert list(fields) == ["a", "b", "c", "d", "e", "f", "g"]
    assert (fields["a"].type, fields["a"].default, dict(fields["a"].metadata)) == (int, 3, {"help": "Words apart."})
    for name in ("b", "c", "e", "f", "g"):
        assert fields[name].metadata["nargs"] == "*"
    assert fields["c"].type is Unreadable and fields["c"].metadata["aliases"] == ["--no_c", "--no-c"]
    assert "nargs" not in fields["d"].metadata


@pytest.mark.parametrize(
    "source", ["", "class TrainingArguments(Base):\n    a: int = 1\n", "class Other:\n    a: int = 1\n"]
)
def test_a_file_of_another_form_is_left_to_the_classes_themselves(source):
    assert outline(source) is None


def test_a_file_that_is_gone_is_left_to_the_classes_themselves(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("transformers", tmp_path / "__init__.py")
    monkeypatch.setattr(transformers_source, "find_spec", lambda name: spec)
    assert training_arguments.__wrapped__() is None
    assert argument_parser_class.__wrapped__() is transformers.HfArgumentParser


def test_without_transformers_it_is_the_missing_module(monkeypatch):
    monkeypatch.setattr(transformers_source, "find_spec", lambda name: None)
    for read in (training_arguments, argument_parser_class):
        with pytest.raises(ModuleNotFoundError) as error:
            read.__wrapped__()
        assert error.value.name == "transformers"

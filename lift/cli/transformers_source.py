"""transformers' own flags, read from its files: importing them takes seconds, as they load torch.

What stands here serves a first look at a command line, and the help; the classes themselves have the last word.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Literal, Optional, Union


class Unreadable(str):
    """Type of a field whose annotation names what only an import would show: any word is one."""


class _Names(dict[str, Any]):
    """What the names in an annotation stand for; `Unreadable` for those that are not built in."""

    def __missing__(self, name: str) -> type:
        self.has_missed = True
        return Unreadable

    has_missed = False


_BUILT_IN = {t.__name__: t for t in (bool, int, float, str, list, dict)} | {
    "Any": Any, "Literal": Literal, "Optional": Optional, "Union": Union
}  # fmt: skip


@cache
def argument_parser_class() -> type[argparse.ArgumentParser]:
    """Return transformers' HfArgumentParser. Its file needs nothing else of transformers, so it is run by itself.

    Raises:
        ModuleNotFoundError: transformers is not installed.
    """
    path = _folder() / "hf_argparser.py"
    spec = spec_from_file_location("lift.cli.hf_argparser", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError):  # a release whose file has moved or needs more: then all of it is imported
        from transformers import HfArgumentParser

        return HfArgumentParser
    parser: type[argparse.ArgumentParser] = module.HfArgumentParser
    return parser


@cache
def training_arguments() -> type[Any] | None:
    """Return a dataclass with the fields of transformers' TrainingArguments: names, types, defaults and help.

    A type or default that cannot be read is one that takes more than the true one does. Returns None where the file
    has another form than one class without a base.

    Raises:
        ModuleNotFoundError: transformers is not installed.
    """
    try:
        return outline((_folder() / "training_args.py").read_text("utf-8"))
    except (OSError, SyntaxError):
        return None


def outline(source: str) -> type[Any] | None:
    """Return the dataclass `TrainingArguments` of some Python code, as `training_arguments` does."""
    nodes = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "TrainingArguments"]
    if len(nodes) != 1 or nodes[0].bases:
        return None
    fields = [_field(node) for node in nodes[0].body if isinstance(node, ast.AnnAssign)]
    return dataclasses.make_dataclass("TrainingArguments", [field for field in fields if field is not None])


def _folder() -> Path:
    spec = find_spec("transformers")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("transformers is not installed", name="transformers")
    return Path(spec.origin).parent


def _field(node: ast.AnnAssign) -> tuple[str, Any, Any] | None:
    """Return name, type and dataclass field of a line `name: type = default`, or None where no flag sets it."""
    assert isinstance(node.target, ast.Name)
    name = node.target.id
    kind, is_readable = _type(node.annotation)
    value: ast.expr | None = node.value
    metadata: dict[str, Any] = {}
    if isinstance(value, ast.Call):
        options = {keyword.arg: keyword.value for keyword in value.keywords}
        if "init" in options or "ClassVar" in ast.unparse(node.annotation):
            return None
        metadata = _metadata(options.get("metadata"))
        value = options.get("default")
    default, has_default = _literal(value)
    if not has_default and kind in (bool, bool | None):
        # The default decides whether such a flag needs a value, and whether it has an opposite.
        kind, is_readable = Unreadable, False
        metadata["aliases"] = [f"--no_{name}", f"--no-{name.replace('_', '-')}"]
    if not is_readable:
        metadata["nargs"] = "*"
    return name, kind, dataclasses.field(default=default, metadata=metadata)


def _type(annotation: ast.expr) -> tuple[Any, bool]:
    """Return the type that an annotation stands for, and whether all of its names could be read."""
    names = _Names(_BUILT_IN)
    try:
        kind = eval(ast.unparse(annotation), {"__builtins__": {}}, names)
    except (AttributeError, TypeError):
        return Unreadable, False
    return kind, not names.has_missed


def _metadata(node: ast.expr | None) -> dict[str, Any]:
    if node is None:
        return {}
    if not isinstance(node, ast.Dict):
        return {"nargs": "*"}
    metadata = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name, _ = _literal(key)
        read, is_literal = _literal(value)
        if is_literal:
            metadata[name] = read
        elif name == "nargs":
            metadata[name] = "*"
    return metadata


def _literal(node: ast.expr | None) -> tuple[Any, bool]:
    """Return the value of an expression and whether it is one that needs no import; else None."""
    if node is None:
        return None, False
    try:
        return ast.literal_eval(node), True
    except ValueError:
        return None, False

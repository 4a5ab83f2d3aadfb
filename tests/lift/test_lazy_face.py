"""The faces of the rooms: what they name, and what importing them costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import lift

FOLDER = Path(lift.__file__).parent
FACES = sorted(path for path in FOLDER.rglob("__init__.py") if "lazy_face(" in path.read_text(encoding="utf-8"))


def module_of(path: Path) -> str:
    return ".".join(["lift", *path.parent.relative_to(FOLDER).parts])


@pytest.mark.parametrize("path", FACES, ids=module_of)
def test_a_face_gives_what_it_names_and_nothing_else(path):
    if module_of(path) == "lift.evaluation":
        pytest.importorskip("lm_eval", reason="lift.evaluation.LiftLM needs the extra eval")
    face = importlib.import_module(module_of(path))
    assert len(FACES) > 5
    assert sorted(face.__all__) == sorted(dir(face))
    for name in face.__all__:
        assert getattr(face, name) is not None, name
    with pytest.raises(AttributeError, match=f"module '{module_of(path)}' has no attribute 'missing'"):
        face.missing  # noqa: B018


@pytest.mark.parametrize("path", FACES, ids=module_of)
def test_no_name_is_that_of_a_module_beside_it(path):
    """Importing that module would put it in the place of the name."""
    names = importlib.import_module(module_of(path)).__all__
    beside = {entry.stem for entry in path.parent.iterdir() if entry.name != "__init__.py"}
    assert not beside & set(names)


@pytest.mark.parametrize("path", FACES, ids=module_of)
def test_what_type_checkers_read_is_what_is_exported(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lift")
        for alias in node.names
    }
    assert set(importlib.import_module(module_of(path)).__all__) <= imported


def test_a_face_costs_nothing_until_a_name_is_used():
    rooms = ", ".join(map(module_of, FACES))
    code = f"import sys, {rooms}; print(*({{'torch', 'transformers', 'datasets', 'peft'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == ""

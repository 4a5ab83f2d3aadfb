"""The modules of docs/site, which mkdocs loads by their paths."""

from __future__ import annotations

import importlib.util
from functools import cache
from types import ModuleType

import pytest

from tests.docs.pages import ROOT


@cache
def load(name: str) -> ModuleType:
    """Return a module of docs/site; skip where the packages of the documentation are not installed."""
    pytest.importorskip("mkdocstrings", reason="the packages of the documentation are not installed")
    spec = importlib.util.spec_from_file_location(f"docs_site_{name}", ROOT / "docs" / "site" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""Names that a package imports on first use, so that a command that only reads its flags loads no torch."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_face(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for the `__init__.py` that calls this with its `__name__` and `__file__`.

    The names are those that it imports under `if TYPE_CHECKING:`, where type checkers and readers find them: one list.
    """

    @cache
    def module_of() -> dict[str, str]:
        body = ast.parse(Path(file).read_text(encoding="utf-8")).body
        blocks = [node.body for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
        imports = [node for block in blocks for node in block if isinstance(node, ast.ImportFrom)]
        return {alias.name: str(node.module) for node in imports for alias in node.names}

    def get(name: str) -> Any:
        module = module_of().get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(module), name)

    return get, lambda: sorted(module_of())

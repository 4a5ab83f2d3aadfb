"""The floors of both packages: who may import whom, and what importing them costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import lift_kernels

ROOT = Path(__file__).resolve().parents[1]

# A module may import from lower floors and from its own part (the key here), never sideways or upwards.
FLOORS = {
    "lift_kernels.linear_head": 0,
    "lift_kernels.philox": 0,
    "lift_kernels.checks": 1,
    "lift_kernels.fallback": 1,
    "lift_kernels.kernels": 1,
    "lift_kernels.reference": 1,
    "lift_kernels.backends": 2,
    "lift_kernels.ops": 3,
    "lift_kernels.modules": 4,
    "lift_kernels.models": 5,
    "lift_kernels.integrations": 6,
    "lift_kernels.testing": 6,
    "lift_kernels": 7,
    "lift.atomic_write": 11,
    "lift.errors": 11,
    "lift.lazy_face": 11,
    "lift.confinement": 12,
    "lift.fields": 12,
    "lift.statistics": 12,
    "lift.objectives": 13,
    "lift.data": 14,
    "lift.learnability": 14,
    "lift.models": 14,
    "lift.recipes": 14,
    "lift.report": 14,
    "lift.analysis": 15,
    "lift.sampling": 15,
    "lift.training": 15,
    "lift.evaluation": 16,
    "lift.tasks": 17,
    "lift.integrations": 17,
    "lift.cli": 18,
    "lift": 19,
}
# It derives from a class of transformers, imported at its head; so it is itself imported in functions only.
NEEDS_TRANSFORMERS = "lift_kernels.models.output"
# What lift_kernels takes from elsewhere than torch and einops, inside functions only.
LAZY_LIBRARIES = {"lift_kernels.models": "transformers", "lift_kernels.integrations": "liger_kernel"}
# The public names, the generator they document, and what is known of a model and its patch.
OPEN_TO_LIFT = ("lift_kernels", "lift_kernels.philox", "lift_kernels.models")
TORCH_ONLY = (
    "lift.atomic_write", "lift.errors", "lift.models.evaluation_mode", "lift.objectives.forward_process",
    "lift.models.gradient_checkpointing", "lift.objectives.normalizers", "lift.objectives", "lift.learnability.scoring", "lift.training.statistics",
)  # fmt: skip
PUBLIC_NAMES = {
    "CorruptedTokens",
    "LinearCrossEntropyLoss",
    "SampledTokens",
    "TokenStats",
    "apply_lift_kernels",
    "backend_report",
    "corrupt_tokens",
    "lift_cross_entropy",
    "linear_cross_entropy",
    "linear_sample",
    "linear_token_stats",
    "register_model_family",
    "remove_lift_kernels",
    "select_tokens",
}


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    at_import_time: bool  # not inside a function, nor under TYPE_CHECKING


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node: ast.AST, at_import_time: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, at_import_time
        elif is_type_checking(child):
            assert isinstance(child, ast.If)
            yield from statements(ast.Module(child.body, []), False)
            yield from statements(ast.Module(child.orelse, []), at_import_time)
        else:
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from statements(child, at_import_time and not is_function)


def imports_of(root: Path) -> list[Import]:
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("lift_kernels", "lift")
        for path in sorted((root / package).rglob("*.py"))
    }
    found = []
    for name, path in files.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node, at_import_time in statements(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                outer = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                base = ".".join([*outer, *([node.module] if node.module else [])])
                # `from package import name` takes a submodule where there is one, else a name of the package.
                targets = [f"{base}.{a.name}" if f"{base}.{a.name}" in files else base for a in node.names]
            found += [Import(name, target, at_import_time) for target in targets]
    return found


def part_of(module: str) -> str:
    """The entry of FLOORS that a module belongs to."""
    parts = ".".join(module.split(".")[:2])
    return "lift_kernels.reference" if parts.startswith("lift_kernels.reference") else parts


def violations(root: Path) -> list[str]:
    found = [
        f"{path.relative_to(root)}: name the file by its subject"
        for package in ("lift_kernels", "lift")
        for path in (root / package).rglob("util*.py")
    ]
    for link in imports_of(root):
        why = broken_rule(link)
        if why:
            found.append(f"{link.importer} imports {link.imported}: {why}")
    return found


def broken_rule(link: Import) -> str | None:
    importer, imported = part_of(link.importer), part_of(link.imported)
    library = link.imported.partition(".")[0]
    if importer not in FLOORS:
        return f"{importer} has no floor yet, give it one in FLOORS"
    if library in ("lift", "lift_kernels"):
        if imported not in FLOORS:
            return f"{imported} has no floor yet, give it one in FLOORS"
        if imported == "lift_kernels.reference" and importer not in (imported, "lift_kernels.testing"):
            return "the reference is for tests and benchmarks"
        if imported == "lift_kernels.testing" and importer != imported:
            return "lift_kernels.testing is for those who test: the package does without"
        if importer.startswith("lift_kernels") and library == "lift":
            return "lift_kernels knows nothing of lift"
        if importer.startswith("lift.") and library == "lift_kernels" and link.imported not in OPEN_TO_LIFT:
            return "lift uses only the public names of lift_kernels, and what else it opens"
        if link.imported == NEEDS_TRANSFORMERS and link.at_import_time:
            return f"{NEEDS_TRANSFORMERS} loads transformers, import it inside a function"
        if importer != imported and FLOORS[importer] <= FLOORS[imported]:
            return "only lower floors may be imported"
        return None
    if library == "triton" and importer != "lift_kernels.kernels":
        return "only lift_kernels.kernels may import triton"
    if library in sys.stdlib_module_names or library in ("torch", "triton"):
        return None
    if importer.startswith("lift_kernels") and library != "einops":
        is_lazy = link.importer == NEEDS_TRANSFORMERS or not link.at_import_time
        if library != LAZY_LIBRARIES.get(importer) or not is_lazy:
            return "lift_kernels needs torch and einops only (models and integrations more, inside a function)"
    return "this floor needs torch only" if importer in TORCH_ONLY else None


def circles(links: list[Import]) -> list[list[str]]:
    """The groups of modules that import one another, wherever in the file they do."""
    imported: dict[str, set[str]] = {}
    for link in links:
        if link.imported.partition(".")[0] in ("lift", "lift_kernels"):
            imported.setdefault(link.importer, set()).add(link.imported)

    def reached(module: str) -> set[str]:
        seen: set[str] = set()
        waiting = [module]
        while waiting:
            for other in imported.get(waiting.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return seen

    reach = {module: reached(module) for module in imported}
    found = {
        tuple(sorted({module, *(other for other in reach[module] if module in reach.get(other, ()))}))
        for module in imported
        if module in reach[module]
    }
    return [list(group) for group in sorted(found) if len(group) > 1]


def floors_in_a_line(package: str) -> str:
    """The floors of a package from the ground up, as CONTRIBUTING shows them."""
    floors: dict[int, list[str]] = {}
    for part, floor in FLOORS.items():
        if part.startswith(f"{package}."):
            floors.setdefault(floor, []).append(f"`{part.removeprefix(package + '.')}`")
    return f"- `{package}`: " + " < ".join(", ".join(sorted(floors[floor])) for floor in sorted(floors))


def test_no_modules_import_one_another():
    assert not circles(imports_of(ROOT))


def test_a_circle_is_found():
    links = [Import(a, b, False) for a, b in (("lift.a", "lift.b"), ("lift.b", "lift.c"), ("lift.c", "lift.a"))]
    assert circles([*links, Import("lift.d", "lift.a", True)]) == [["lift.a", "lift.b", "lift.c"]]


@pytest.mark.parametrize("package", ["lift", "lift_kernels"])
def test_contributing_shows_the_floors(package):
    assert floors_in_a_line(package) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()


def test_every_room_says_what_lives_there():
    doors = [*(ROOT / "lift").rglob("__init__.py"), *(ROOT / "lift_kernels").rglob("__init__.py")]
    assert len(doors) > 15
    assert not [str(door) for door in doors if not ast.get_docstring(ast.parse(door.read_text(encoding="utf-8")))]


def test_no_test_imports_another_test():
    pattern = re.compile(
        r"^(?:from|import) tests\.(?:[a-z_]+\.)*test_|^from tests[a-z_.]* import .*\btest_", re.MULTILINE
    )
    assert pattern.search("from tests.lift.test_a import b") and pattern.search("from tests.lift import c, test_a")
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path.name != Path(__file__).name]
    assert len(tests) > 100
    assert not [str(path) for path in tests if pattern.search(path.read_text(encoding="utf-8"))]


def test_every_module_keeps_to_its_floor():
    links = imports_of(ROOT)
    assert {"lift_kernels.ops.linear_cross_entropy", "lift.training.trainer"} <= {link.importer for link in links}
    assert not violations(ROOT)


@pytest.mark.parametrize(
    ("path", "code", "complaint"),
    [
        ("lift_kernels/ops/a.py", "import lift", "knows nothing of lift"),
        ("lift_kernels/ops/a.py", "def f():\n    from lift.data import load_rows", "knows nothing of lift"),
        ("lift_kernels/ops/a.py", "import transformers", "torch and einops only"),
        ("lift_kernels/models/a.py", "from transformers import BertModel", "torch and einops only"),
        ("lift_kernels/models/a.py", "class A:\n    import transformers", "torch and einops only"),
        ("lift_kernels/models/a.py", "from lift_kernels.models.output import Output", "inside a function"),
        ("lift_kernels/integrations/a.py", "import liger_kernel", "torch and einops only"),
        ("lift_kernels/integrations/a.py", "def f():\n    import transformers", "torch and einops only"),
        ("lift_kernels/ops/a.py", "def f():\n    import triton.language", "only lift_kernels.kernels"),
        ("lift_kernels/backends.py", "import triton", "only lift_kernels.kernels"),
        ("lift_kernels/ops/a.py", "from lift_kernels import reference", "tests and benchmarks"),
        ("lift_kernels/ops/a.py", "from ..reference import nll", "tests and benchmarks"),
        ("lift_kernels/__init__.py", "from lift_kernels.testing import Head", "does without"),
        ("lift/models/a.py", "from lift_kernels import testing", "does without"),
        ("lift_kernels/testing/a.py", "import pytest", "torch and einops only"),
        ("lift_kernels/fallback/a.py", "from lift_kernels import checks", "only lower floors"),
        ("lift_kernels/checks.py", "from lift_kernels.fallback import b", "only lower floors"),
        ("lift_kernels/fallback/a.py", "from lift_kernels.ops.b import c", "only lower floors"),
        ("lift_kernels/ops/a.py", "from lift_kernels import linear_cross_entropy", "only lower floors"),
        ("lift_kernels/novel.py", "import torch", "has no floor"),
        ("lift/training/trainer.py", "from lift_kernels.ops.a import b", "public names"),
        ("lift/objectives/a.py", "import lift_kernels.reference", "tests and benchmarks"),
        ("lift/data.py", "from lift.training.trainer import LiftTrainer", "only lower floors"),
        ("lift/data/a.py", "def f():\n    from ..cli import main", "only lower floors"),
        ("lift/objectives/a.py", "if True:\n    import transformers", "torch only"),
        ("lift/utils.py", "", "by its subject"),
    ],
)
def test_a_broken_rule_is_found(tmp_path, path, code, complaint):
    for name in ("lift_kernels/checks.py", "lift_kernels/reference.py", "lift_kernels/testing/__init__.py", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / path).write_text(code)
    (found,) = violations(tmp_path)
    assert complaint in found


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("lift_kernels/models/a.py", "def f():\n    from transformers import BertModel"),
        ("lift_kernels/models/output.py", "from transformers.utils import ModelOutput"),
        ("lift_kernels/models/a.py", "def f():\n    from lift_kernels.models.output import Output"),
        ("lift_kernels/models/a.py", "if TYPE_CHECKING:\n    from transformers import BertModel"),
        ("lift_kernels/integrations/a.py", "def f():\n    from liger_kernel.transformers import a"),
        ("lift_kernels/kernels/a.py", "import triton\nfrom lift_kernels.kernels import b"),
        ("lift_kernels/testing/a.py", "from lift_kernels import reference"),
        ("lift_kernels/ops/a.py", "from lift_kernels import checks\nfrom lift_kernels.fallback.b import c"),
        (
            "lift/training/trainer.py",
            "import transformers\nfrom lift_kernels import linear_cross_entropy\nfrom .. import errors",
        ),
    ],
)
def test_an_allowed_import_is_not_reported(tmp_path, path, code):
    for name in ("lift_kernels/checks.py", "lift_kernels/reference.py", "lift/errors.py", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / path).write_text(code)
    assert not violations(tmp_path)


def test_the_public_names_are_the_promised_ones_and_documented():
    assert set(lift_kernels.__all__) == PUBLIC_NAMES
    assert lift_kernels.__version__
    assert not [name for name in PUBLIC_NAMES if not getattr(lift_kernels, name).__doc__]


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_lift_kernels_loads_neither_triton_nor_the_trainer_stack():
    loaded = run("import sys, lift_kernels; print(*sys.modules)").split()
    assert "lift_kernels.ops.linear_cross_entropy" in loaded
    assert not {"triton", "transformers", "datasets", "accelerate", "matplotlib", "lift"} & set(loaded)
    assert not [name for name in loaded if name.startswith("lift_kernels.testing")]


def test_lift_kernels_computes_where_triton_is_not_installed():
    # None in sys.modules makes `import triton` raise and `find_spec` find nothing, as where no wheel exists.
    out = run(
        "import sys; sys.modules['triton'] = None\n"
        "import torch, lift_kernels\n"
        "h = torch.ones(2, 4, requires_grad=True)\n"
        "loss = lift_kernels.linear_cross_entropy(h, torch.zeros(8, 4), torch.tensor([0, 7]))\n"
        "loss.backward()\n"
        "assert h.grad is not None\n"
        "assert 'not installed' in str(lift_kernels.backend_report())\n"
        "print(loss.item())"
    )
    assert float(out) == pytest.approx(2.0794415, abs=1e-6)  # ln 8: all logits are 0

"""The wheel: what is in it, and that both packages work from it where the checkout cannot be seen."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from lift_kernels import __version__
from tests.docs.pages import blocks

ROOT = Path(__file__).resolve().parents[1]
HAS_TRITON_WHEELS = sys.platform == "linux" and os.uname().machine in ("x86_64", "aarch64")


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def built(kind: str, folder: Path, root: Path = ROOT) -> Path:
    """Build a wheel or an sdist into an empty folder."""
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder, cwd=root)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but the wheel, and the libraries of this one behind it."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    python = venv / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install"),
        *("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", wheel),
        cwd=venv.parent,
    )
    # Python does not read the .pth files of a folder that a .pth file names: the checkout, which an editable
    # installation adds through one, stays out.
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages,) = (venv / "lib").glob("python*/site-packages")
    (site_packages / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
    return venv


def test_the_wheel_holds_both_packages_whole_and_nothing_else(wheel):
    assert wheel.name == f"lift_kernels-{__version__}-py3-none-any.whl"
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("lift_kernels", "lift")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert {"lift_kernels/py.typed", "lift/py.typed", "lift/recipes/presets/sudoku.yaml"} <= files
    assert files == sources


def test_the_sdist_builds_the_same_wheel(wheel, sdist, tmp_path):
    assert sdist.name == f"lift_kernels-{__version__}.tar.gz"
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md"} <= {path.name for path in source.iterdir()}
    assert sum(path.stat().st_size for path in source.rglob("*")) < 5 << 20
    ours, again = map(zipfile.ZipFile, (wheel, built("wheel", tmp_path / "built", source)))
    assert {name: ours.read(name) for name in ours.namelist()} == {name: again.read(name) for name in again.namelist()}


def test_the_citation_is_whole():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "license", "repository-code"} <= citation.keys()
    paper = citation["preferred-citation"]
    assert paper["url"].endswith("/2605.22939") and len(paper["authors"]) == 8 and paper["year"] == 2026


def test_the_metadata_name_the_licence_the_command_and_the_dependencies(wheel):
    archive = zipfile.ZipFile(wheel)
    info = f"lift_kernels-{__version__}.dist-info"
    metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra")) == {"train", "peft", "eval", "plot", "bench", "dev"}
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert {line.partition(">")[0] for line in required} == {"torch", "einops", "triton"}
    trainer_stack = {line.partition(">")[0] for line in metadata.get_all("Requires-Dist") if "extra == 'train'" in line}
    assert {"transformers", "matplotlib"} <= trainer_stack
    assert "lift = lift.cli:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_the_metadata_say_where_the_project_lives_and_their_readme_links_there(wheel):
    info = f"lift_kernels-{__version__}.dist-info"
    metadata = email.message_from_bytes(zipfile.ZipFile(wheel).read(f"{info}/METADATA"))
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= urls.keys()
    assert metadata["Description-Content-Type"] == "text/markdown"
    shown, here = metadata.get_payload(decode=True).decode(), (ROOT / "README.md").read_text(encoding="utf-8")
    link = re.compile(r"(!?)\[([^\]]*)\]\(([^)]+)\)")
    assert len(link.findall(here)) > 10
    raw = urls["Homepage"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    for (mark, text, target), (mark_here, text_here, target_here) in zip(
        link.findall(shown), link.findall(here), strict=True
    ):
        base = raw if mark else f"{urls['Homepage']}/blob/main/"
        is_inside = not target_here.startswith(("http", "#"))
        assert (mark, text, target) == (mark_here, text_here, base + target_here if is_inside else target_here)
    assert link.sub("", shown).strip() == link.sub("", here).strip()


@pytest.mark.parametrize("package", ["lift_kernels", "lift"])
def test_a_package_imports_from_the_wheel(installed, package):
    code = (
        "import importlib.metadata, sys\n"
        f"import {package}, lift_kernels\n"
        f"print({package}.__file__, lift_kernels.__version__, importlib.metadata.version('lift-kernels'))\n"
        f"assert {str(ROOT)!r} not in sys.path"
    )
    python = installed / "bin" / "python"
    file, own_version, version = run(python, "-I", "-c", code, cwd=installed.parent).split()
    assert Path(file).is_relative_to(installed)
    assert own_version == version == __version__


def test_the_command_runs_from_the_wheel(installed):
    out = run(installed / "bin" / "lift", "--help", cwd=installed.parent)
    assert "train" in out


@pytest.mark.slow
def test_pip_brings_torch_triton_and_einops_and_no_trainer_stack_and_the_readme_runs(wheel, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(
        *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--constraint", ROOT / "constraints.txt", wheel),
        cwd=tmp_path,
    )
    listed = run(python, "-m", "pip", "list", "--format", "freeze", cwd=tmp_path).split()
    names = {line.partition("==")[0] for line in listed}
    assert {"lift-kernels", "torch", "einops"} <= names
    assert ("triton" in names) == HAS_TRITON_WHEELS
    assert not {"transformers", "datasets", "accelerate", "matplotlib", "pytest"} & names
    # The README's first example prints the loss twice. torch warns that there is no numpy, which it does not require.
    before, after = map(float, run(python, "-I", "-c", blocks("README.md", "python")[0], cwd=tmp_path).split())
    assert after == pytest.approx(before, rel=1e-5)

"""The domain's packages: the real ones where they are installed, and made ones that are always there."""

from __future__ import annotations

import hashlib
import importlib

import pytest

from benchmarks.study.sapiens import genes, weights
from benchmarks.study.sapiens.domain import check_packages
from lift.errors import LiftError
from tests.benchmarks.study.sapiens.made_packages import write_packages


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Made packages in the place of the real ones; returns their files."""
    files = write_packages(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    monkeypatch.setattr(weights, "_SHA256", digests.pop("weights"))
    monkeypatch.setattr(genes, "_SHA256", digests)
    return files


@pytest.fixture
def real_packages():
    try:
        check_packages()
    except LiftError as error:
        pytest.skip(str(error))

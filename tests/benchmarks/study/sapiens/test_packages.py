from __future__ import annotations

import pytest

from benchmarks.study.sapiens.packages import package_file
from lift.errors import LiftError


def test_what_is_missing_is_named_with_the_command_that_brings_it():
    message = (
        r"weights\.pt of the package no_such_package, which is not installed: pip install --no-deps sapiens==1\.0\.5"
    )
    with pytest.raises(LiftError, match=message):
        package_file("no_such_package", "weights.pt", "")


def test_another_package_of_that_name_and_another_version_are_refused(packages):
    with pytest.raises(LiftError, match="not installed"):
        package_file("sapiens", "models/v2/checkpoint.pt", "")
    with pytest.raises(LiftError, match="not the file that the protocol names: pip install"):
        package_file("sapiens", "models/v1/checkpoint_vh.pt", "0" * 64)

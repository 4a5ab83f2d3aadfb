from __future__ import annotations

import lift
from lift.errors import LiftError


def test_it_is_public_and_a_value_error_for_those_who_do_not_know_it():
    assert lift.LiftError is LiftError and issubclass(LiftError, ValueError)
    assert str(LiftError("a sentence.")) == "a sentence."

"""The arguments that travel with a batch are those of the op, under the same names and with the same defaults."""

from __future__ import annotations

import inspect

from lift_kernels import lift_cross_entropy
from lift_kernels.models import OneForward


def test_fields_are_arguments_of_the_op():
    parameters = inspect.signature(lift_cross_entropy).parameters
    arguments = set(OneForward._fields) - {"parts"}  # which the patched model takes apart
    assert arguments < set(parameters)
    for name in arguments:
        assert OneForward._field_defaults.get(name, inspect.Parameter.empty) == parameters[name].default

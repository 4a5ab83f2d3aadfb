"""Functions of torch's library that its operators do not reach."""

from __future__ import annotations

import ctypes

from lift_kernels.fallback import torch_library


def test_a_function_is_called_or_is_not_there(monkeypatch):
    strlen = torch_library.exported("strlen", [ctypes.c_char_p])  # of what the library is linked with
    assert strlen is not None and strlen(b"four") is None and strlen.argtypes == [ctypes.c_char_p]
    assert torch_library.exported("no_such_function", []) is None
    monkeypatch.setattr(torch_library, "_library", lambda: None)
    assert torch_library.exported("strlen", [ctypes.c_char_p]) is None


def test_without_the_file_there_is_nothing(monkeypatch):
    monkeypatch.setattr(torch_library.torch, "__file__", "/no/such/torch/__init__.py")
    assert torch_library._library.__wrapped__() is None


def test_a_trial_that_dies_ends_no_other_process():
    assert torch_library.returns("strlen", "assert function(b'four') == 4")
    assert not torch_library.returns("abort", "function()")
    assert not torch_library.returns("no_such_function", "")

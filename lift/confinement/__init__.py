"""Run generated code where it can do no harm: a child process without network, writing, other processes, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.confinement.program import Outcome, run_program

__all__ = ["Outcome", "run_program"]

__getattr__, __dir__ = lazy_face(__name__, __file__)

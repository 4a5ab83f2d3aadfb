"""Which rivals can run here, each with its version or with what is in the way."""

from __future__ import annotations

from benchmarks.gpu.measurements.measurement import Outcome, Session
from benchmarks.rivals.table import PACKAGES


def which_can_run(session: Session) -> Outcome:
    """Import each: a crash of the process then has a name, and its rows are left out."""
    found = {}
    for name, rival in PACKAGES.items():
        session.announce(name)
        obstacle = "its process ended before" if name in session.skip else rival.obstacle(session.config.device)
        found[name] = f"{rival.package} {rival.version()}" if obstacle is None else f"absent: {obstacle}"
    return Outcome(numbers=found)

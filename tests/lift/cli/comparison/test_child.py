"""A child gets each signal once, says how it ended, and holds the lock as long as it lives. The child is a script."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from lift.cli.comparison.child import lock_on, train_in_child
from lift.errors import Interrupted, LiftError

SCRIPT = f"#!{sys.executable} -S\nimport os, signal, sys\n"


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Put a script in the place of Python, and return what calls it and the log."""

    def be(code: str):
        script, log = tmp_path / "python", tmp_path / "log"
        script.write_text(SCRIPT + code)
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        return lambda *words, lock=0: train_in_child(words, log, lock), log

    return be


def test_status_last_line_and_log(child):
    run, log = child("print(*sys.argv[1:]); print('lift train: no rows.', file=sys.stderr); sys.exit(2)")
    log.write_text("before\n")
    assert run("a.yaml", "--flag") == (2, "no rows.")
    assert log.read_text().splitlines() == ["before", "-m lift.cli train a.yaml --flag", "lift train: no rows."]


def test_one_that_a_signal_kills_or_that_says_nothing_is_told_by_its_status(child):
    run, log = child("os.kill(os.getpid(), signal.SIGKILL)")
    log.write_text("of an earlier start\n")
    assert run() == (-signal.SIGKILL, "")


@pytest.mark.parametrize(
    ("sent", "received"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGHUP, signal.SIGTERM)],
)
def test_a_signal_is_handed_on_and_waited_for(child, sent, received, capsys):
    run, log = child(
        "def stop(number, frame):\n    print('got', number)\n    sys.exit(128 + number)\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(number, stop)\n"
        f"os.kill(os.getppid(), {int(sent)})\nsignal.pause()\n"
    )
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(Interrupted) as interrupt:
        run()
    assert interrupt.value.status == 128 + sent
    assert log.read_text() == f"got {int(received)}\n" and "stopping after the step" in capsys.readouterr().err
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_what_is_ignored_stays_so(child):
    run, _ = child(f"os.kill(os.getppid(), {int(signal.SIGHUP)}); print(signal.getsignal(signal.SIGHUP).name)")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run() == (0, "SIG_IGN")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminals_ctrl_c_does_not_reach_it_beside_ours(child):
    run, _ = child("print(os.getpgid(0) == os.getpid())")
    assert run() == (0, "True") and os.getpgid(0) != 0


def test_the_lock_is_held_by_the_child_too(child, tmp_path):
    run, _ = child("print(os.fstat(int(sys.argv[-1])).st_ino)")
    with lock_on(tmp_path) as lock:
        assert run(str(lock), lock=lock) == (0, str((tmp_path / ".lock").stat().st_ino))
        with pytest.raises(LiftError, match="is being written by another lift compare"), lock_on(tmp_path):
            pass
        left_behind = os.dup(lock)
    with pytest.raises(LiftError, match="wait for it, or end it"), lock_on(tmp_path):
        pass
    os.close(left_behind)
    with lock_on(tmp_path):
        pass

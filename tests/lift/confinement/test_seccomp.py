"""The filter as a program: run here over system calls, by an interpreter of its own."""

from __future__ import annotations

import errno

import pytest

from lift.confinement import seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the kernel does with a call: classic BPF over number, architecture, and six arguments of 64 bits."""
    own = seccomp.ARCHITECTURES[machine][1]
    data = number.to_bytes(4, "little") + (architecture or own).to_bytes(4, "little") + bytes(8)
    data += b"".join(value.to_bytes(8, "little") for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program, at, loaded = seccomp.build_filter(machine), 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            loaded = int.from_bytes(data[operand : operand + 4], "little")
        elif code == 0x06:
            return operand
        else:
            holds = {0x15: loaded == operand, 0x35: loaded >= operand, 0x45: bool(loaded & operand)}[code]
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_exactly_the_calls_of_the_table_are_allowed(machine):
    column = seccomp.ARCHITECTURES[machine][0]
    allowed = {numbers[column] for numbers in seccomp.ALLOWED.values()} - {None}
    special = {
        call[column]
        for call in (
            seccomp.OPEN,
            seccomp.OPENAT,
            seccomp.CLONE,
            seccomp.CLONE3,
            seccomp.PRLIMIT64,
            seccomp.FCNTL,
            seccomp.IOCTL,
        )
    }
    for number in set(range(600)) - special:
        assert verdict(machine, number) == (ALLOW if number in allowed else EPERM)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_some_calls_are_allowed_for_some_arguments(machine):
    column = seccomp.ARCHITECTURES[machine][0]
    for flags, expected in (
        (0, ALLOW),
        (0x80000, ALLOW),
        (1, EPERM),
        (2, EPERM),
        (0x40, EPERM),
        (0x200, EPERM),
        (0x400000, EPERM),
    ):
        assert verdict(machine, seccomp.OPENAT[column], 5, 0, flags) == expected
    assert verdict(machine, seccomp.CLONE[column], 0x3D0F00) == ALLOW  # pthread_create
    assert verdict(machine, seccomp.CLONE[column], 0x1200011) == EPERM  # fork
    assert verdict(machine, seccomp.CLONE3[column]) == ENOSYS
    assert verdict(machine, seccomp.PRLIMIT64[column], 0, 7, 0) == ALLOW
    assert verdict(machine, seccomp.PRLIMIT64[column], 0, 7, 1) == EPERM
    assert verdict(machine, seccomp.PRLIMIT64[column], 0, 7, 1 << 32) == EPERM
    assert [verdict(machine, seccomp.FCNTL[column], 3, command) for command in (0, 3, 1030, 4, 8)] == [ALLOW] * 3 + [
        EPERM
    ] * 2
    assert [verdict(machine, seccomp.IOCTL[column], 1, request) for request in (0x5401, 0x541B, 0x5412)] == [
        ALLOW,
        ALLOW,
        EPERM,
    ]


def test_another_architecture_is_killed():
    assert verdict("x86_64", 1, architecture=0x40000003) == KILL  # i386, whose call 1 is exit
    assert verdict("x86_64", 0x40000001) == KILL  # x32
    assert verdict("aarch64", 63, architecture=0x40000028) == KILL


def test_a_machine_without_a_table_is_named(monkeypatch):
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    assert "this is riscv64" in seccomp.unsupported()
    monkeypatch.setattr(seccomp.sys, "platform", "darwin")
    assert "feature of Linux" in seccomp.unsupported()

"""Landlock by ctypes: reading beneath the interpreter and the system's libraries only, and no writing.

Runs in the child, which has the standard library alone. Source: the kernel's Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # equal on every architecture
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
READABLE = (
    "/usr/lib", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/dev/null",
    "/dev/urandom",
)  # fmt: skip


def restrict_files() -> int:
    """Restrict the calling process for good; return the version of Landlock, 0 where the kernel has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = int(libc.syscall(_CREATE_RULESET, None, 0, 1))
    if version < 1:
        return 0
    # Every right on files that this version knows is withheld, and, as it knows them, TCP, signals and sockets outside.
    num_rights = 13 if version < 2 else 14 if version < 3 else 15 if version < 5 else 16
    attributes = struct.pack("QQQ", (1 << num_rights) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = int(libc.syscall(_CREATE_RULESET, ctypes.c_char_p(attributes), size, 0))
    if rules < 0:
        return 0
    for path in {sys.base_prefix, sys.prefix, *READABLE}:
        _allow_reading(libc, rules, path)
    if libc.prctl(38, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, rules, 0):  # PR_SET_NO_NEW_PRIVS
        return 0
    os.close(rules)
    return version


def _allow_reading(libc: ctypes.CDLL, rules: int, path: str) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not every system has every folder
        return
    rights = _EXECUTE | _READ_FILE | _READ_DIR if stat.S_ISDIR(os.fstat(beneath).st_mode) else _READ_FILE
    if path == "/dev/null":
        rights |= _WRITE_FILE
    libc.syscall(_ADD_RULE, rules, 1, ctypes.c_char_p(struct.pack("=Qi", rights, beneath)), 0)
    os.close(beneath)

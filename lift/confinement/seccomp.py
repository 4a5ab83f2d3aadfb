"""A seccomp filter by ctypes: what a single-process interpreter needs is allowed, everything else gets EPERM.

Runs in the child, which has the standard library alone. Numbers: the kernel's arch/x86/entry/syscalls/syscall_64.tbl
and include/uapi/asm-generic/unistd.h. Refused: fork, exec, socket, kill, ptrace, io_uring, and to open
a file for writing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# Call -> its number on x86_64 and on aarch64, None where the architecture has none.
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "readv": (19, 65), "writev": (20, 66), "access": (21, None), "pipe": (22, None), "select": (23, None),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None),
    "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93), "uname": (63, 160), "getcwd": (79, 17),
    "readlink": (89, None), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175),
    "getegid": (108, 177), "getppid": (110, 173), "getpgrp": (111, None), "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132), "arch_prctl": (158, None), "gettid": (186, 178), "time": (201, None),
    "futex": (202, 98), "sched_getaffinity": (204, 123), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "newfstatat": (262, 79), "readlinkat": (267, 78),
    "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99), "dup3": (292, 24),
    "pipe2": (293, 59), "getrandom": (318, 278), "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293),
    "faccessat2": (439, 439),
}  # fmt: skip
# Calls that are allowed for some arguments only.
OPEN = (2, None)
OPENAT = (257, 56)
CLONE = (56, 220)
CLONE3 = (435, 435)
PRLIMIT64 = (302, 261)
FCNTL = (72, 25)
IOCTL = (16, 29)
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the table, AUDIT_ARCH

_LOAD, _EQUALS, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
# O_WRONLY or O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_TMPFILE: equal on both architectures.
_WRITING = 0x3 | 0x40 | 0x200 | 0x400 | 0x400000
_CLONE_THREAD = 0x10000
_READING_FCNTL = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
_READING_IOCTL = (0x5401, 0x5413, 0x5451, 0x541B)  # TCGETS, TIOCGWINSZ, FIOCLEX, FIONREAD

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def unsupported() -> str:
    """Return why there is no filter for this machine, or an empty string."""
    if sys.platform != "linux":
        return f"seccomp is a feature of Linux, this is {platform.system()}"
    if platform.machine() not in ARCHITECTURES or sys.maxsize < 2**32:
        return f"the table of system calls covers 64-bit {' and '.join(ARCHITECTURES)}, this is {platform.machine()}"
    return ""


def build_filter(machine: str) -> list[Instruction]:
    """Return the program, in the kernel's classic BPF over `struct seccomp_data`."""
    column, architecture = ARCHITECTURES[machine]
    allow, deny = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | errno.EPERM)
    program: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUALS, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":  # the x32 calls have the same architecture and other numbers
        program += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]

    def when(call: tuple[int | None, int | None], argument: int, body: list[Instruction]) -> None:
        """For this call alone: load the low word of an argument, and go on with `body`, which must return."""
        number = call[column]
        if number is not None:
            program.append((_EQUALS, 0, len(body) + 1, number))
            program.extend([(_LOAD, 0, 0, 16 + 8 * argument), *body])

    def one_of(values: tuple[int, ...]) -> list[Instruction]:
        tests = [(_EQUALS, len(values) - i, 0, value) for i, value in enumerate(values)]
        return [*tests, deny, allow]

    for call, flags in ((OPENAT, 2), (OPEN, 1)):
        when(call, flags, [(_ANY_BIT, 0, 1, _WRITING), deny, allow])
    when(CLONE, 0, [(_ANY_BIT, 1, 0, _CLONE_THREAD), deny, allow])
    when(CLONE3, 0, [(_RETURN, 0, 0, _ERROR | errno.ENOSYS)])  # its flags lie in memory; glibc falls back to clone
    # Reading limits only: the pointer to new ones is null, in both of its words.
    when(PRLIMIT64, 2, [(_EQUALS, 1, 0, 0), deny, (_LOAD, 0, 0, 16 + 8 * 2 + 4), (_EQUALS, 1, 0, 0), deny, allow])
    when(FCNTL, 1, one_of(_READING_FCNTL))
    when(IOCTL, 1, one_of(_READING_IOCTL))
    for numbers in ALLOWED.values():
        if numbers[column] is not None:
            program += [(_EQUALS, 0, 1, numbers[column] or 0), allow]
    return [*program, deny]


def load_filter() -> None:
    """Confine the calling process and its threads from here on, for good.

    Raises: OSError if the kernel refuses the filter, or does not apply it.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    code = b"".join(struct.pack("HBBI", *instruction) for instruction in build_filter(platform.machine()))
    instructions = ctypes.create_string_buffer(code)
    program = Program(len(code) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "the kernel refuses no_new_privs")
    if libc.prctl(22, 2, ctypes.byref(program), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "the kernel refuses a seccomp filter")
    # Some containers take a filter and do nothing with it.
    if libc.socket(1, 1, 0) != -1 or ctypes.get_errno() != errno.EPERM:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

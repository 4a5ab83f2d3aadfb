"""The child that runs one program and its tests; started by path, with the standard library alone.

A pass takes three things: the tests ran to their end, the child then wrote the number it had been given, and its exit
status is 0. What judges the program is kept in local names before the program runs, which may replace any global one.
"""

from __future__ import annotations

import builtins
import os
import resource
import runpy
import struct
import sys
import types
from collections.abc import Callable
from typing import Any

# Imported before the filter is loaded: what programs use, and whose classes an answer may have.
LIBRARY = (
    "array", "bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "hashlib", "heapq",
    "itertools", "json", "math", "operator", "random", "re", "statistics", "string", "typing", "uuid",
)  # fmt: skip
MAX_RECURSION = 100_000
# Kinds of values that no module names.
_UNNAMED: tuple[type, ...] = (
    type(None), type(NotImplemented), type(...), types.FunctionType, types.BuiltinFunctionType, types.MethodType,
    types.GeneratorType, types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items()), type(iter([])),
    type(iter(())), type(iter("")), type(iter(set())), type(iter({})), type(iter(range(0))), type(iter(int, 1)),
)  # fmt: skip


def main(status: int) -> None:
    """Read sizes, limits, number, program, tests and entry from standard input; write the verdict to `status`."""
    stdin = sys.stdin.buffer
    memory, seconds, *sizes = struct.unpack("5Q", stdin.read(40))
    number = stdin.read(16)
    program, tests, entry = (stdin.read(size).decode(errors="surrogatepass") for size in sizes)
    stdin.close()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    modules = [__import__(name) for name in LIBRARY]
    write, leave, kind_of = os.write, os._exit, type
    try:
        version = _confine(memory, seconds)
        write(status, b"landlock " if version else b"no-files ")
    except BaseException as error:
        write(status, b"refused " + str(error).encode(errors="replace")[:200])
        leave(3)
    try:
        _run(program, tests, entry, modules)
    except BaseException as error:  # SystemExit and KeyboardInterrupt of the program as well
        write(status, b"fail " + kind_of(error).__name__.encode(errors="replace")[:80])
        leave(1)
    write(status, b"pass " + number)
    leave(0)


def _confine(memory: int, seconds: int) -> int:
    """Limit this process; return the version of Landlock, 0 without."""
    here = os.path.dirname(os.path.abspath(__file__))
    # Not imported: the program would find them in sys.modules.
    restrict_files = runpy.run_path(os.path.join(here, "landlock.py"))["restrict_files"]
    load_filter = runpy.run_path(os.path.join(here, "seccomp.py"))["load_filter"]
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        # Filling all of it takes longer than most programs may, on a machine whose memory is slow to come.
        (resource.RLIMIT_DATA, memory // 4),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_STACK, 64 << 20),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    version = int(restrict_files())
    load_filter()
    return version


def _run(program: str, tests: str, entry: str, modules: list[Any]) -> None:
    """Run the program, then its tests; raise what they raise."""
    run, make, settrace, setprofile = exec, compile, sys.settrace, sys.setprofile
    check = _answer_check(modules)
    kept = [(module.__dict__, dict(module.__dict__)) for module in (builtins, modules[LIBRARY.index("math")])]

    def undo(update: Callable[..., None] = dict.update) -> None:
        """Take back what would make the tests blind: a trace that skips lines, another `abs`, another `isclose`."""
        settrace(None)
        setprofile(None)
        for namespace, content in kept:
            update(namespace, content)

    # Frames that nothing ends fill the memory for minutes before they fail; no honest recursion goes deeper.
    set_limit = sys.setrecursionlimit
    sys.setrecursionlimit = lambda limit: set_limit(min(limit, MAX_RECURSION))
    space: dict[str, Any] = {"__name__": "solution"}
    run(make(program, "<program>", "exec"), space)
    undo()
    # The tests get names of their own, so that a function that calls itself does not go through the wrapper.
    test_space = dict(space)
    if entry:
        function = space[entry]

        def answer(*args: Any, **kwargs: Any) -> Any:
            try:
                return check(function(*args, **kwargs))
            finally:
                undo()

        test_space[entry] = answer
    run(make(tests, "<tests>", "exec"), test_space)


def _answer_check(modules: list[Any]) -> Callable[..., Any]:
    """Return a function that hands an answer on, unless its class could say that it equals anything."""
    kind_of, fail, is_subclass = type, AssertionError, issubclass
    series = (list, tuple, set, frozenset, modules[LIBRARY.index("collections")].deque)
    # By identity: a class may claim any name and module.
    trusted = {id(kind) for kind in _UNNAMED}
    for module in (builtins, *modules):
        trusted |= {id(value) for value in vars(module).values() if isinstance(value, kind_of)}

    def check(value: Any, depth: int = 0) -> Any:
        kind = kind_of(value)
        if id(kind) not in trusted:
            raise fail("the answer has a class of its own")
        if depth < 6 and is_subclass(kind, series):
            for item in value:
                check(item, depth + 1)
        elif depth < 6 and is_subclass(kind, dict):
            for key, item in value.items():
                check(key, depth + 1)
                check(item, depth + 1)
        return value

    return check


if __name__ == "__main__":
    main(int(sys.argv[1]))

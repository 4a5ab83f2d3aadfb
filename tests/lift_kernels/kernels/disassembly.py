"""Listings of NVIDIA's machine code, all kernels of an architecture at a time: the tool's start takes longer than one."""

from __future__ import annotations

import bisect
import re
import struct
import subprocess
import tempfile
from pathlib import Path

_ADDRESS = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/", re.MULTILINE)


def code_of(cubin: bytes) -> bytes:
    """Return a kernel's instructions: the section .text of its ELF file."""
    headers_at = struct.unpack_from("<Q", cubin, 0x28)[0]
    size, number, of_names = struct.unpack_from("<HHH", cubin, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", cubin, headers_at + i * size) for i in range(number)]
    names_at = headers[of_names][4]
    (code,) = (cubin[h[4] : h[4] + h[5]] for h in headers if cubin[names_at + h[0] :].startswith(b".text."))
    return code


def resource_usage(cubin: bytes) -> dict[str, int]:
    """Return "registers" of a thread, and "stack", its bytes in memory."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        output = _run("cuobjdump", "--dump-resource-usage", file.name)
    return {
        name: int(re.search(rf"{word}:(\d+)", output)[1]) for name, word in (("registers", "REG"), ("stack", "STACK"))
    }


def disassemble(architecture: str, codes: list[bytes]) -> list[str]:
    """Return the listing of each, addresses and jumps as in all of them one after the other."""
    starts = [sum(map(len, codes[:i])) for i in range(len(codes))]
    # What only this architecture has, such as its matrix instructions, is in the variant with an "a".
    variant = architecture.upper() + ("a" if int(architecture[2:]) >= 90 else "")
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(b"".join(codes))
        file.flush()
        lines = _run("nvdisasm", "--binary", variant, file.name).splitlines(keepends=True)
    listings: list[list[str]] = [[] for _ in codes]
    for line in lines:
        if address := _ADDRESS.match(line):
            listings[bisect.bisect(starts, int(address[1], 16)) - 1].append(line)
    return ["".join(listing) for listing in listings]


def _run(tool: str, *arguments: str) -> str:
    import triton

    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / tool
    return subprocess.run([path, *arguments], check=True, capture_output=True, text=True).stdout

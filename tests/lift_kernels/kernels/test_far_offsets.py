from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_offsets_beyond_32_bits_reach_their_rows():
    """PyTorch 85005, 85786, 90793; triton 1058: an offset that wrapped read and wrote foreign memory."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.lift_kernels.kernels.far_offsets"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stderr}"

"""Print the table of docs/gpu_predictions.md: `python -m benchmarks.predictions`."""

from __future__ import annotations

import sys

from benchmarks.predictions.table import table

sys.stdout.write(table())

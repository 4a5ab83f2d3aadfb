"""`lift presets`: what comes with the package."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from lift.cli.parser import SentenceParser
from lift.recipes import preset_summaries


def run(arguments: Sequence[str]) -> None:
    """Print each preset of `lift train` with its summary."""
    parser = SentenceParser(prog="lift presets", description="List the presets of lift train.")
    parser.parse_args(arguments)
    for name, summary in preset_summaries().items():
        print(textwrap.fill(summary, 80, initial_indent=f"{name:<18}", subsequent_indent=" " * 18))
    print(
        "\nlift train --preset NAME --output_dir FOLDER runs one; flags change it.\nThose for your rows need "
        "--train_data FILE, those for your model\n--model_name_or_path NAME."
    )

"""Configuration files that come with the package: presets of `lift train`, and files for `accelerate launch`."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

PRESETS: Traversable = resources.files(__name__) / "presets"
ACCELERATE: Traversable = resources.files(__name__) / "accelerate"


def preset_names() -> list[str]:
    """Return the names of the presets, in order."""
    return sorted(entry.name.removesuffix(".yaml") for entry in PRESETS.iterdir() if entry.name.endswith(".yaml"))


def preset_summaries() -> dict[str, str]:
    """Return what each preset is, by name: the first line of its file, which is a comment."""
    texts = {name: (PRESETS / f"{name}.yaml").read_text("utf-8") for name in preset_names()}
    return {name: text.splitlines()[0].removeprefix("# ") for name, text in texts.items()}

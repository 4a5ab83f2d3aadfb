"""`lift methods`: what there is to train on."""

from __future__ import annotations

from collections.abc import Sequence

from lift.cli.parser import SentenceParser
from lift.objectives import METHODS


def run(arguments: Sequence[str]) -> None:
    """Print each method with its summary."""
    parser = SentenceParser(prog="lift methods", description="List the methods of lift train: what each trains on.")
    parser.parse_args(arguments)
    for name, method in METHODS.items():
        print(f"{name:<11}{method.summary}")
    print("\nlift train --method NAME takes one. t in (0, 1] is a row's diffusion time.")

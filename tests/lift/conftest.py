"""Fixtures shared by the tests of `lift`."""

from __future__ import annotations

import pytest


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures that were written, to look at what is in them."""
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    savefig = Figure.savefig

    def keep(figure, *args, **kwargs):
        figures.append(figure)
        return savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures

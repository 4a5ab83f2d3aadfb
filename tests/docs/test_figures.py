"""The drawing of the three modes is the one that its script draws, and shows what LIFT chooses."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ET

import pytest

from tests.docs.pages import ROOT

SCRIPT = ROOT / "docs" / "figures" / "modes.py"
DRAWING = runpy.run_path(str(SCRIPT))


def test_the_file_is_what_the_script_draws():
    drawn = DRAWING["draw"]()
    assert SCRIPT.with_suffix(".svg").read_text("utf-8") == drawn
    ET.fromstring(drawn)
    assert "prefers-color-scheme:dark" in drawn


@pytest.mark.parametrize("mode", DRAWING["MODES"], ids=lambda mode: mode.name)
def test_a_mode_keeps_what_it_is_said_to_keep(mode):
    low, high = {1: (2 / 3, 1), 0: (1 / 3, 2 / 3), -1: (0, 1 / 3)}[mode.order]
    assert low < mode.t < high and mode.t + mode.rho <= 1
    is_masked, is_kept = DRAWING["choose"](mode)
    probability = DRAWING["probabilities"](mode)
    kept = [p for p, is_it in zip(probability, is_kept, strict=True) if is_it]
    back = [p for p, masked, is_it in zip(probability, is_masked, is_kept, strict=True) if masked and not is_it]
    assert len(kept) == round(sum(is_masked) * mode.t / (mode.t + mode.rho)) and back
    if mode.order:
        assert min(kept) >= max(back) if mode.order == 1 else max(kept) <= min(back)

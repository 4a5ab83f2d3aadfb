"""The GIF of an unmasking: a picture for each step, which shows what is masked in it."""

from __future__ import annotations

import io

import pytest

from lift import LiftError
from lift.report import Unmasking
from lift.report.unmasking_gif import render

Image = pytest.importorskip("PIL.Image", reason="pillow comes with the extra plot")
ImageSequence = pytest.importorskip("PIL.ImageSequence")


def test_there_is_a_picture_for_each_step_and_the_last_one_stands(unmasking):
    picture = Image.open(io.BytesIO(render(unmasking)))
    frames, durations = [], []
    for frame in ImageSequence.Iterator(picture):
        frames.append(frame.convert("RGB").copy())
        durations.append(frame.info["duration"])
    assert len(frames) == 5 and durations == [500] * 4 + [2500] and picture.info["loop"] == 0
    for number, frame in enumerate(frames):
        alone = Image.open(io.BytesIO(render(Unmasking(unmasking.title, [*unmasking.frames[number:]])))).convert("RGB")
        assert frame.size == alone.size and _distance(frame, alone) < 8
        assert all(_distance(frame, other) > 64 for other in frames[number + 1 :])


def _distance(first, second) -> int:
    from PIL import ImageChops

    return max(high for _, high in ImageChops.difference(first, second).getextrema())


def test_without_pillow_there_is_a_sentence(unmasking, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(LiftError, match=r"pip install 'lift-kernels\[plot\]'"):
        render(unmasking)

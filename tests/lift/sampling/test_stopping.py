"""When a row has ended."""

from __future__ import annotations

import torch

from lift.sampling import SamplingConfig
from lift.sampling.layout import lay_out
from lift.sampling.stopping import ended_within_block, first_stop, pad_behind_stop

M, E = 9, 7
STOPS = torch.tensor([E, 8])


def canvas_of(*answers):
    canvas = lay_out(torch.tensor([[E, 1]] * len(answers)), None, SamplingConfig(), len(answers[0]), 4, M)
    canvas.ids[:, 2:] = torch.tensor(answers)
    return canvas


def test_a_row_has_ended_when_nothing_before_its_first_stop_is_masked():
    canvas = canvas_of([1, E, M, E], [M, E, 1, 1], [1, 2, 3, 4], [1, 8, 2, M])
    is_masked = (canvas.ids == M) & canvas.is_answer
    has_stop, column = first_stop(canvas, STOPS)
    assert has_stop.tolist() == [True, True, False, True] and column[has_stop].tolist() == [3, 3, 3]
    new = canvas.is_answer & False
    found = ended_within_block(canvas, is_masked, new, STOPS, SamplingConfig())
    assert found.tolist() == [True, False, False, True]
    new[3, 3] = True
    config = SamplingConfig(stop_needs_commit=True)  # then the prompt's stop id is the first
    assert ended_within_block(canvas, is_masked, new, STOPS, config).tolist() == [False, False, False, True]


def test_what_follows_becomes_padding():
    canvas = canvas_of([1, E, M, E], [M, E, 1, 1], [1, 2, 3, 4])
    padded = pad_behind_stop(canvas, torch.tensor([True, False, True]), STOPS, 0)
    assert padded.tolist() == [[E, 1, 1, E, 0, 0], [E, 1, M, E, 1, 1], [E, 1, 1, 2, 3, 4]]

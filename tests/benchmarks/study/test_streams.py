from __future__ import annotations

from benchmarks.study.streams import seed_of, stream


def test_names_decide_what_is_drawn():
    assert stream("train", "fsa", 0).random() == stream("train", "fsa", 0).random()
    draws = {stream(*names).random() for names in (("train", 1), ("test", 1), ("train", 11), ("train", 1, 1))}
    assert len(draws) == 4
    assert seed_of("base") == seed_of("base") != seed_of("noise")

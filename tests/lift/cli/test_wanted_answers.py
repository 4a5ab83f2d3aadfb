"""What `lift sample` is asked for: copies of a prompt, and settings that its tokens and the model decide."""

from __future__ import annotations

import pytest

from lift import LiftError
from lift.cli.wanted_answers import find_wanted
from lift.data import PromptFrame
from lift.evaluation.loaded_model import load
from lift.sampling import SamplingConfig
from tests.lift.cli.support import save_scripted


@pytest.fixture
def wanted(tmp_path):
    loaded = load(str(save_scripted(tmp_path, "q", rows=2)))

    def of(prompts, num_samples=1, system="", **settings):
        rows = [{"prompt": prompt} for prompt in prompts]
        return list(find_wanted(rows, num_samples, loaded, PromptFrame(system), SamplingConfig(**settings))), loaded

    return of


def test_rows_of_one_prompt_get_copies_that_number_on(wanted):
    found, _ = wanted(["ab", "c", "ab"], num_samples=2)
    assert [one.name for one in found] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert [one.prompt.copy for one in found] == [0, 1, 0, 1, 2, 3]
    assert found[0].prompt.ids == found[4].prompt.ids != found[2].prompt.ids


def test_what_the_settings_leave_open_comes_from_prompt_and_model(wanted):
    found, loaded = wanted(["ab", "c"])
    assert [one.prompt.config.gen_length for one in found] == [2, 1]
    size = len(loaded.tokenizer)
    assert {size, size + 1} <= set(found[0].prompt.config.suppress_ids)
    assert found[0].prompt.config.stop_ids == tuple(sorted(loaded.end_ids)) != ()
    found, _ = wanted(["ab"], gen_length=5, stop_ids=(7,), suppress_ids=(9,))
    assert (found[0].prompt.config.gen_length, found[0].prompt.config.stop_ids) == (5, (7,))
    assert 9 in found[0].prompt.config.suppress_ids
    framed, loaded = wanted(["ab"], system="xy")
    assert loaded.tokenizer.decode(framed[0].prompt.ids) == "xy\n\nab"


def test_infill_takes_the_length_of_its_text(wanted):
    found, loaded = wanted(["a[MASK]"], infill=True)
    assert found[0].prompt.config.gen_length is None and found[0].prompt.ids[-1] == loaded.mask_token_id
    with pytest.raises(LiftError, match=r"'ab' has no \[MASK\]: write some"):
        wanted(["ab"], infill=True)


def test_an_empty_prompt_says_nothing_of_the_length(wanted):
    with pytest.raises(LiftError, match="the prompt is empty"):
        wanted([""])
    assert wanted([""], gen_length=3)[0][0].prompt.ids == ()

"""What `lift sample` is asked for: copies of a prompt, and settings that its tokens and the model decide."""

from __future__ import annotations

import pytest

from lift import LiftError
from lift.cli.wanted_answers import find_wanted
from lift.data import PromptFrame
from lift.evaluation.loaded_model import load
from lift.sampling import SamplingConfig
from lift.tasks.sudoku import build_tokenizer
from tests.lift.cli.support import save_scripted
from tests.lift.support.tiny import tiny_model


@pytest.fixture
def wanted(tmp_path):
    loaded = load(str(save_scripted(tmp_path, "q", rows=2)))

    def of(prompts, num_samples=1, system="", source=None, **settings):
        rows, frame = [{"prompt": prompt} for prompt in prompts], PromptFrame(system)
        return list(find_wanted(rows, num_samples, loaded, frame, SamplingConfig(**settings), source)), loaded

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


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("p.jsonl", r"p\.jsonl: row 1 \(counted from 0\)"),
        ("-", r"standard input: row 1 \(counted from 0\)"),
        (None, "--prompt number 2"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_named_by_its_row(wanted, source, name):
    with pytest.raises(LiftError, match=f"^{name} is empty, so"):
        wanted(["ab", ""], source=source)
    with pytest.raises(LiftError, match=f"^{name}: infill fills the masks of a prompt, and 'ab' has no"):
        wanted(["a[MASK]", "ab"], source=source, infill=True)


def test_a_prompt_that_the_tokenizer_cannot_read_is_named_by_its_row(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    rows = [{"prompt": "0204"}, {"prompt": "31x2"}]
    for infill in (False, True):
        config = SamplingConfig(infill=infill)
        rows[0]["prompt"] = "02[MASK]4" if infill else "0204"
        with pytest.raises(
            LiftError, match=r"^p.jsonl: row 1 \(counted from 0\): the tokenizer cannot encode the text"
        ):
            list(find_wanted(rows, 1, loaded, PromptFrame(), config, "p.jsonl"))

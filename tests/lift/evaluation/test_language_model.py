"""The model in lm-eval: what it answers does not depend on how it is asked."""

from __future__ import annotations

import logging

import pytest
import torch

from lift.errors import LiftError
from lift.evaluation.answer_store import AnswerStore
from lift.models.training_record import record_blocks
from lift.sampling import generate
from lift.tasks.sudoku import build_tokenizer
from tests.lift.support.tiny import prose_tokenizer, tiny_model
from tests.transformers_version import needs_packing

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'lift-kernels[eval]'")

from lm_eval.api.instance import Instance

from lift.evaluation import LiftLM
from lift.evaluation.extra_answer import ExtraAnswer, without_extra

PROMPTS = ("0123", "21", "3", "4412")


def model_of(seed=1):
    model = tiny_model(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # so that positions differ by more than rounding, which is another in another batch
    return model


def language_model(seed=1, **options):
    settings = {"temperature": 1.0, "gen_length": 6, "batch_size": 4} | options
    return LiftLM(model_of(seed), tokenizer=build_tokenizer(), **settings)


def answers(model, prompts=PROMPTS, repeats=3, extra=0, **task):
    asked = [
        Instance("generate_until", {}, (prompt, task), 0, ("task", i, repeats)) for i, prompt in enumerate(prompts)
    ]
    requests = [request for request in asked for _ in range(repeats)] + [asked[-1]] * extra
    return model.generate_until(requests, disable_tqdm=True)


def likelihoods(model, pairs=(("01", "2344"), ("", "13"), ("3", "21443211"))):
    return model.loglikelihood(
        [Instance("loglikelihood", {}, pair, 0, ("task", 0, 1)) for pair in pairs], disable_tqdm=True
    )


def test_answers_are_those_of_generate_under_any_preset():
    for sampler in ("llada", "fast_dllm", "dream"):
        options = {"sampler": sampler, "temperature": 0.0, "steps": 3}
        (text,) = answers(language_model(**options), ["0123"], repeats=1)
        tokenizer = build_tokenizer()
        ids = generate(
            model_of(), torch.tensor([tokenizer("0123")["input_ids"]]), sampler=sampler, steps=3,
            gen_length=6,
            mask_token_id=tokenizer.mask_token_id, stop_ids=(0,),
            suppress_ids=(7,),
        )  # fmt: skip
        written = ids[0, 4:].tolist()
        written = written[: written.index(0)] if 0 in written else written
        assert text == tokenizer.decode([token for token in written if token > 1])


@needs_packing
def test_a_model_trained_in_blocks_answers_in_them_unless_told_otherwise():
    blocks, tokenizer = {"attention": "block_causal", "block_origin": "start", "block_length": 4}, build_tokenizer()
    models = [model_of(), model_of()]
    record_blocks(models[0], 4)
    by_default = LiftLM(models[0], tokenizer=tokenizer, gen_length=6, batch_size=4)
    assert blocks.items() <= by_default.get_model_info()["sampling"].items() and "blocks of 4" in by_default.remark
    asked_for = LiftLM(models[1], tokenizer=tokenizer, gen_length=6, batch_size=4, **blocks)
    assert asked_for.remark is None
    assert answers(by_default, repeats=1) == answers(asked_for, repeats=1)
    told = LiftLM(models[0], tokenizer=tokenizer, attention="full")
    assert told.get_model_info()["sampling"]["attention"] == "full" and told.remark is None


def test_neither_batch_size_nor_order_changes_an_answer_and_copies_differ():
    expected = answers(language_model(batch_size=1))
    assert len(set(expected[:3])) == 3
    for size in (2, 5, "auto"):
        assert answers(language_model(batch_size=size)) == expected
    assert answers(language_model(), PROMPTS[::-1])[-3:] == expected[:3]
    assert answers(language_model(seed=1), repeats=2)[:2] == expected[:2]
    assert (
        answers(language_model(), repeats=3)[:3]
        != answers(LiftLM(model_of(), tokenizer=build_tokenizer(), temperature=1.0, gen_length=6, seed=1))[:3]
    )


def test_what_only_keeps_processes_busy_costs_nothing_and_is_dropped():
    model = language_model()
    found = answers(model, repeats=2, extra=4)
    assert found[:8] == answers(language_model(), repeats=2)
    assert all(isinstance(answer, ExtraAnswer) for answer in found[8:]) and without_extra(found) == found[:8]
    assert len(model.written) == 8


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    expected = answers(language_model())
    broken = language_model(store=str(tmp_path))
    forward, calls = broken.loaded.model.forward, []

    def killed(*args, **kwargs):
        calls.append(1)
        if len(calls) > 13:  # two batches of six forwards are done
            raise KeyboardInterrupt
        return forward(*args, **kwargs)

    broken.loaded.model.forward = killed
    with pytest.raises(KeyboardInterrupt):
        answers(broken)
    kept = len(AnswerStore(tmp_path))
    assert kept == 8
    resumed = language_model(store=str(tmp_path), batch_size=1)
    seen = []
    resumed.loaded.model.register_forward_pre_hook(lambda *_: seen.append(1))
    assert answers(resumed) == expected
    assert len(seen) <= 6 * (len(expected) - kept)
    again = language_model(store=str(tmp_path))
    again.loaded.model.forward = None  # nothing is asked
    assert answers(again) == expected


@pytest.mark.parametrize("change", [{"seed": 3}, {"temperature": 0.9}, {"steps": 3}, {"weights": 2}])
def test_an_answer_is_kept_for_its_settings_and_weights_alone(tmp_path, change):
    answers(language_model(store=str(tmp_path)))
    model = LiftLM(
        tiny_model(change.pop("weights", 1)), tokenizer=build_tokenizer(), store=str(tmp_path), batch_size=4,
        **{"temperature": 1.0, "gen_length": 6} | change,
    )  # fmt: skip
    seen = []
    model.loaded.model.register_forward_pre_hook(lambda *_: seen.append(1))
    answers(model)
    assert seen


def test_lengths_and_temperatures_come_from_the_task_where_the_settings_do_not_say(caplog):
    model = LiftLM(tiny_model(1), tokenizer=build_tokenizer())
    request = Instance(
        "generate_until", {}, ("01", {"max_gen_toks": 9, "do_sample": True, "temperature": 0.7}), 0, ("t", 0, 1)
    )
    config = model._prompt(request, 0).config
    assert (config.gen_length, config.temperature) == (9, 0.7)
    config = language_model()._prompt(request, 0).config
    assert (config.gen_length, config.temperature) == (6, 1.0)
    with caplog.at_level(logging.WARNING):
        same = answers(language_model(temperature=0.0), repeats=3)
    assert len(set(same[:3])) == 1 and "at temperature 0 all are one" in caplog.text


def test_likelihoods_are_the_same_in_any_batch_and_kept(tmp_path):
    expected = likelihoods(language_model(batch_size=1))
    for size in (3, "auto"):
        for found, wanted in zip(likelihoods(language_model(batch_size=size)), expected, strict=True):
            assert found == pytest.approx(wanted, abs=1e-5)
    likelihoods(language_model(store=str(tmp_path)))
    again = language_model(store=str(tmp_path))
    again.loaded.model.forward = None
    for found, wanted in zip(likelihoods(again), expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)


def test_one_token_has_its_own_log_probability():
    tokenizer = build_tokenizer()
    model, (ids, token) = model_of().eval(), (tokenizer("013")["input_ids"], tokenizer("2")["input_ids"][0])
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*ids, tokenizer.mask_token_id]])).logits[0, -1].double()
    ((value, is_greedy),) = likelihoods(language_model(), [("013", "2")])
    assert value == pytest.approx(float(logits.log_softmax(-1)[token]), abs=1e-5)
    assert is_greedy == bool(logits[[0, *range(2, 8)]].max() == logits[token])


def test_greedy_is_what_greedy_decoding_writes():
    text = answers(language_model(temperature=0.0, gen_length=4), ["013"], repeats=1)[0]
    pairs = [("013", text), ("013", text[:-1] + ("1" if text[-1] != "1" else "2"))]
    assert len(text) == 4
    assert [is_greedy for _, is_greedy in likelihoods(language_model(), pairs)] == [True, False]
    assert [is_greedy for _, is_greedy in likelihoods(language_model(greedy_check=False), pairs)] == [False, False]


def test_a_rolling_likelihood_is_the_sum_over_windows():
    model, text = language_model(), "01234" * 30  # 150 tokens, and the model has 64 positions
    (value,) = model.loglikelihood_rolling(
        [Instance("loglikelihood_rolling", {}, (text,), 0, ("t", 0, 1))], disable_tqdm=True
    )
    parts = [("", text[:64]), (text[32:64], text[64:96]), (text[64:96], text[96:128]), (text[96:128], text[128:])]
    assert value == pytest.approx(sum(found for found, _ in likelihoods(model, parts)), abs=1e-4)


def test_a_chat_template_leaves_a_prefix_open():
    tokenizer = prose_tokenizer()
    tokenizer.mask_token = "[MASK]"
    model = LiftLM(_prose_model(len(tokenizer)), tokenizer=tokenizer)
    turns = [{"role": "user", "content": "q"}]
    assert model.apply_chat_template(turns) == "<user>q<assistant>"
    turns.append({"role": "assistant", "content": "<reasoning>"})
    assert model.apply_chat_template(turns, add_generation_prompt=False) == "<user>q<assistant><reasoning>"
    assert model.chat_template(True) == tokenizer.chat_template and model.chat_template(False) == ""
    assert "/" not in model.tokenizer_name


def _prose_model(size):
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(
        BertConfig(vocab_size=size, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temprature": 1.0}, "'temprature' is no option of the model lift"),
        ({"batch_size": "many"}, "batch_size must be a whole number of at least 1, or auto, got 'many'"),
        ({"infill": True}, "infill fills the masks of a text"),
        ({"reference_quirks": True}, "set sampler"),
        ({"estimator": "exact"}, "estimator must be one of antithetic, published, got 'exact'"),
        ({"dtype": "int8"}, "dtype must be one of"),
    ],
)
def test_what_does_not_fit_is_one_sentence(options, sentence):
    with pytest.raises(LiftError, match=sentence):
        language_model(**options)


def test_plain_lm_eval_gives_its_options_as_words():
    model = LiftLM.create_from_arg_obj(
        {"pretrained": tiny_model(1), "tokenizer": build_tokenizer(), "stop_ids": "3+4", "gen_length": 6},
        {"batch_size": "auto", "max_batch_size": 2, "device": None},
    )
    assert model._config.stop_ids == (3, 4) and model._batches.rows == 2

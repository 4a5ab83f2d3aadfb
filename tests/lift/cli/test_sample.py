"""`lift sample` completes prompts, one line each."""

from __future__ import annotations

import json

import pytest
from transformers import GenerationConfig

from lift.cli import main
from lift.models.training_record import record_blocks
from tests.lift.cli.support import save_scripted
from tests.lift.support.tiny import prose_tokenizer, tiny_model
from tests.transformers_version import needs_packing

TEMPLATE = (
    "{% for m in messages %}{{ '<user>' if m.role == 'user' else '<assistant>' }}{{ m.content }}"
    "{% if m.role == 'assistant' %}[UNK]{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def sampled(folder, capsys, *flags, prompt="q") -> str:
    assert main(["sample", "--model", str(folder), "--prompt", prompt, "--gen_length", "6", *flags]) == 0
    return capsys.readouterr().out.splitlines()[-1]


def test_each_prompt_gets_its_line(model_folder, capsys):
    prompts = ["--prompt", "0204300000100003", "--prompt", "3102200002100320"]
    assert main(["sample", "--model", str(model_folder), *prompts, "--gen_length", "8", "--steps", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert len(lines) == 2 and all(set(line) <= set("01234") for line in lines)


def test_a_prompt_that_the_tokenizer_cannot_read_is_one_sentence(model_folder, capsys):
    assert main(["sample", "--model", str(model_folder), "--prompt", "31x2000000000000"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("lift sample: the prompt: the tokenizer cannot encode the text")


def test_bad_flags_are_one_sentence(model_folder, capsys):
    call = ["sample", "--model", str(model_folder), "--prompt", "0204300000100003"]
    for flags, sentence in (
        (["--dtype", "float64"], "dtype must be one of float32, bfloat16, float16, auto, got 'float64'.\n"),
        (["--steps", "0"], "steps"),
        (["--gen_length", "0"], "--gen_length must be at least 1, got 0.\n"),
        (["--mask-token-id", "-1"], "unknown argument"),
        (["--mask_token_id", "-1"], "--mask_token_id must be at least 0, got -1.\n"),
        (["--gen_length", "8", "--block_length", "3"], "lift sample: block_length must divide gen_length 8, got 3.\n"),
        (["--stps", "3"], "unknown argument '--stps', did you mean '--steps'?\n"),
    ):
        capsys.readouterr()
        assert main([*call, *flags]) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "settings", "answer"),
    [
        ([*"qab", "[EOS]", *"xyz"], {}, "ab"),
        ([*"qab", "<user>", *"xyz"], {}, "abxyz"),  # a control token that ends nothing is left out
        ([*"qqab", "[UNK]", *"xyz"], {"eos_token": None, "sep_token": "[UNK]"}, "ab"),  # one ends the prompt too
        ([*"qqqab", "[UNK]", *"xyz"], {"chat_template": TEMPLATE}, "ab"),
        (["q", "[EOS]", *"abxyz"], {}, ""),
    ],
)
def test_what_follows_the_end_of_an_answer_is_not_printed(tmp_path, capsys, script, settings, answer):
    assert sampled(save_scripted(tmp_path, script, **settings), capsys) == answer


@pytest.mark.parametrize("named", [97, [3, 97]])
def test_the_end_tokens_of_the_generation_configuration_count(tmp_path, capsys, named):
    folder = save_scripted(tmp_path, [*"qab", 97, *"xyz"])
    assert len(sampled(folder, capsys)) == 6
    GenerationConfig(eos_token_id=named).save_pretrained(folder)
    assert sampled(folder, capsys) == "ab"


def test_ids_that_the_tokenizer_does_not_know_are_not_written(tmp_path, capsys):
    size = len(prose_tokenizer())
    folder = save_scripted(tmp_path, ["q", size + 2, size, *"abcd"], rows=3)
    assert sampled(folder, capsys) == "--abcd"


def test_the_mask_token_is_that_of_the_training(tmp_path, capsys):
    """The model would write it, and it alone is kept out of the choice."""
    tilde = prose_tokenizer().convert_tokens_to_ids("~")
    folder = save_scripted(tmp_path, ["q", "~", *"abcde"], mask_token_id=tilde)
    assert sampled(folder, capsys)[:6] == "-abcde"
    assert sampled(folder, capsys, "--mask_token_id", "5").startswith("~abcde")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "mask_token_id"}))
    assert sampled(folder, capsys).startswith("~abcde")


def test_prompts_that_cannot_be_completed_are_one_sentence(tmp_path, capsys):
    folder = save_scripted(tmp_path, "q")
    for flags, sentence in (
        (["--prompt", "q", "--gen_length", "5000"], "have 5001 tokens, and the model has 16 positions"),
        (["--prompt", "q" * 17], "have 34 tokens, and the model has 16 positions"),
        (["--prompt", ""], "the prompt is empty, so it says nothing of how long the answer is: pass --gen_length."),
    ):
        capsys.readouterr()
        assert main(["sample", "--model", str(folder), *flags]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("lift sample: ") and sentence in captured.err
        assert captured.err.count("\n") == 1
    assert sampled(folder, capsys, prompt="").startswith("q")


def test_it_is_said_where_the_tokenizer_does_not_know_the_prompt(tmp_path, capsys, caplog):
    folder = save_scripted(tmp_path, "qabcdefgh")
    sampled(folder, capsys, prompt="q")
    assert not caplog.messages
    sampled(folder, capsys, prompt="q\N{SNOWMAN}")
    assert "the tokenizer does not know parts of the prompt 'q\N{SNOWMAN}': the model reads [UNK]" in caplog.messages[0]


def set_record(folder, **record):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"lift": record}))


@pytest.mark.parametrize(("role", "length"), [("user", 5), ("system", 5)])
def test_the_text_in_front_of_the_prompts_is_that_of_the_training(tmp_path, capsys, role, length):
    """The model writes a letter by its position, so the first says how long the prompt was."""
    folder = save_scripted(tmp_path, "abcdefghijklmnop")
    assert sampled(folder, capsys).startswith("b")
    set_record(folder, system="xy", system_role=role)
    assert sampled(folder, capsys) == "fghijk"  # x y \\n \\n q, without a chat template
    assert sampled(folder, capsys, "--system", "xyz") == "ghijkl"
    assert sampled(folder, capsys, "--system", "") == "bcdefg"
    main(["sample", "--model", str(folder), "--prompt", "q", "--gen_length", "6"])
    assert "each prompt follows the text 'xy' (--system '' for none)" in capsys.readouterr().err


def test_a_chat_template_gets_the_text_where_the_training_had_it(tmp_path, capsys):
    folder = save_scripted(tmp_path, "abcdefghijklmnop", chat_template=TEMPLATE)
    assert sampled(folder, capsys) == "defghi"  # <user> q <assistant>
    set_record(folder, system="xy", system_role="user")
    assert sampled(folder, capsys) == "hijklm"  # <user> x y \\n \\n q <assistant>
    set_record(folder, system="xy", system_role="system")
    assert sampled(folder, capsys) == "ghijkl"  # its turn, x, y, <user> q <assistant>
    set_record(folder)
    assert sampled(folder, capsys, "--system", "xyz") == "hijklm"


def test_an_answer_without_a_word_is_said_to_be_empty(tmp_path, capsys, caplog):
    assert sampled(save_scripted(tmp_path / "ended", ["q", "[EOS]", *"abxyz"]), capsys) == ""
    assert sampled(save_scripted(tmp_path / "padded", ["q", *["[PAD]"] * 6]), capsys) == ""
    assert len(caplog.messages) == 2
    assert caplog.messages[0] == "the answer to 'q' is empty: the model wrote nothing but padding or end tokens"


def test_a_model_of_a_task_shows_its_answer_beside_the_output(model_folder, capsys):
    set_record(model_folder, task="sudoku")
    assert main(["sample", "--model", str(model_folder), "--prompt", "0204300000100003"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1 and len(captured.out.strip()) == 16
    assert captured.err.startswith("╭──────┬──────╮\n") and "\nnot valid: " in captured.err
    set_record(model_folder)
    assert main(["sample", "--model", str(model_folder), "--prompt", "0204300000100003"]) == 0
    assert "1 answer, 16 tokens" in (err := capsys.readouterr().err) and "valid" not in err


@needs_packing
def test_a_model_trained_in_blocks_writes_in_them_and_says_so(model_folder, capsys):
    model = tiny_model(3)
    record_blocks(model, 4)
    model.save_pretrained(model_folder)
    call = ["sample", "--model", str(model_folder), "--prompt", "02043", "--prompt", "31", "--gen_length", "9"]

    def said(*flags):
        assert main([*call, *flags]) == 0
        captured = capsys.readouterr()
        return captured.out.splitlines()[-2:], captured.err.count(
            "as in training, text is written in blocks of 4 tokens"
        )

    answers, times = said()
    assert times == 1
    assert said("--attention", "block_causal", "--block_origin", "start", "--block_length", "4") == (answers, 0)
    assert said("--attention", "full")[1] == 0
    record_blocks(model, None)
    model.save_pretrained(model_folder)
    assert said()[1] == 0


@pytest.mark.parametrize("flag", ["--save", "--output"])
@pytest.mark.parametrize(("folder", "words"), [("none", "there is no folder"), ("/proc", "may not be written")])
def test_a_place_that_cannot_be_written_is_told_before_a_model_is_loaded(tmp_path, capsys, flag, folder, words):
    assert main(["sample", "--model", "no-such-model", "--prompt", "x", flag, str(tmp_path / folder / "a.svg")]) == 2
    assert words in capsys.readouterr().err

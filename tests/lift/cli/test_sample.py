"""`lift sample` completes prompts, one line each."""

from __future__ import annotations

from lift.cli import main


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
        (["--stps", "3"], "unknown argument '--stps', did you mean '--steps'?\n"),
    ):
        capsys.readouterr()
        assert main([*call, *flags]) == 2
        assert sentence in capsys.readouterr().err

"""`lift sample` with files: what batch, process and a kill change, which is nothing."""

from __future__ import annotations

import json
import re

import pytest
import torch

from lift.cli import main
from lift.models.loading import load_model
from tests.lift.cli.support import save_scripted
from tests.lift.support.launchers import accelerate
from tests.lift.support.tiny import tiny_model

PROMPTS = ["0204300000100003", "3102", "0204300000100003", "310220000", "1", "20"]
DRAWN = ["--gen_length", "6", "--temperature", "1.5", "--seed", "3", "--num_samples", "2"]


@pytest.fixture
def prompts_file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt, "id": f"p{n}"}) + "\n" for n, prompt in enumerate(PROMPTS)))
    return path


@pytest.fixture
def decided_folder(model_folder):
    """A model whose probabilities lie apart: positions that tie come in the order of rounding, which a batch changes."""
    model = tiny_model()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(20)
    model.save_pretrained(model_folder)
    return model_folder


def command(model_folder, prompts_file, output, *flags):
    words = ["sample", "--model", model_folder, "--prompts", prompts_file, "--output", output, *DRAWN, *flags]
    return list(map(str, words))


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_neither_batch_nor_processes_nor_a_kill_change_an_answer(decided_folder, prompts_file, tmp_path, capsys):
    one, two, killed = (tmp_path / name for name in ("one.jsonl", "two.jsonl", "killed.jsonl"))
    assert main(command(decided_folder, prompts_file, one, "--batch_size", "1")) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "12 answers, " in captured.err and "tokens a forward" in captured.err
    expected = records(one)
    assert [(r["row"], r["sample"], r["id"], r["prompt"]) for r in expected] == [
        (n, k, f"p{n}", prompt) for n, prompt in enumerate(PROMPTS) for k in (0, 1)
    ]
    assert all(set(r["response"]) <= set("01234") and 1 <= r["num_tokens"] <= 6 == r["num_forwards"] for r in expected)
    # Equal prompts are not equal answers, nor are samples.
    assert len({r["response"] for r in expected if r["prompt"] == PROMPTS[0]}) > 2

    killed.write_bytes(one.read_bytes()[: one.read_bytes().index(b"\n", 700) + 20])
    (tmp_path / "killed.jsonl.settings.json").write_bytes((tmp_path / "one.jsonl.settings.json").read_bytes())
    assert main(command(decided_folder, prompts_file, killed)) == 0
    assert 0 < int(re.search(r"(\d+) answers", capsys.readouterr().err)[1]) < 12
    assert killed.read_bytes() == one.read_bytes()

    accelerate("ddp", 2, "--module", "lift.cli", *command(decided_folder, prompts_file, two))
    assert two.read_bytes() == one.read_bytes()

    assert main(command(decided_folder, prompts_file, one, "--temperature", "1")) == 2
    assert "written with temperature=1.5, and now it is 1.0: choose another --output.\n" in capsys.readouterr().err
    assert main(command(decided_folder, prompts_file, one)) == 0
    assert "0 answers" in capsys.readouterr().err


def test_masks_of_a_prompt_are_filled_in(tmp_path, capsys):
    folder = save_scripted(tmp_path, "abcdefgh")
    words = ["sample", "--model", str(folder), "--infill"]
    mask = "[MASK]"
    assert main([*words, "--prompt", f"xy{mask}z{mask}"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "xycze\n" and "1 answer, 2 tokens" in captured.err
    assert main([*words, "--prompt", "xyz"]) == 2
    assert f"infill fills the masks of a prompt, and 'xyz' has no {mask}: write some" in capsys.readouterr().err


def test_a_file_holds_flags_and_the_command_wins(tmp_path, capsys):
    folder = save_scripted(tmp_path, "qabcdefgh")
    settings = tmp_path / "sample.yaml"
    settings.write_text(f"model: {folder}\nprompt: [q]\ngen_length: 3\nsampler: llada\n")
    assert main(["sample", str(settings)]) == 0 and capsys.readouterr().out == "abc\n"
    assert main(["sample", str(settings), "--gen_length", "4"]) == 0 and capsys.readouterr().out == "abcd\n"
    settings.write_text("gen_lenght: 3\n")
    assert main(["sample", str(settings)]) == 2
    assert "sample.yaml: unknown key 'gen_lenght', did you mean 'gen_length'?" in capsys.readouterr().err


def test_an_animation_is_kept(tmp_path, capsys):
    folder = save_scripted(tmp_path, "qabcdef")
    words = ["sample", "--model", str(folder), "--prompt", "q", "--gen_length", "4"]
    assert main([*words, "--save", str(tmp_path / "run.svg")]) == 0
    picture = (tmp_path / "run.svg").read_text()
    assert picture.count("<animate ") == 8  # four letters come, and four masks go
    for flags, sentence in (
        (["--save", "run.png"], "run.png must end in .gif, .html, .svg, got '.png'"),
        (["--save", "run.svg", "--prompt", "r"], "--save keeps the animation of one answer"),
        (["--save", "run.svg", "--output", "out.jsonl"], "--save keeps the animation of one answer"),
        (["--save", "gone/run.svg"], "there is no folder gone"),
        (["--output", "gone/out.jsonl"], "there is no folder gone"),
        (["--output", str(tmp_path)], "is a folder: name a file"),
    ):
        capsys.readouterr()
        assert main([*words, *flags]) == 2
        assert sentence in capsys.readouterr().err


def test_a_field_that_the_output_needs_is_refused(model_folder, tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "1", "response": "x"}\n')
    assert main(command(model_folder, path, tmp_path / "out.jsonl")) == 2
    assert "row 0 (counted from 0) has 'response', which --output writes: rename it." in capsys.readouterr().err


def test_a_row_that_cannot_be_encoded_is_named_before_anything_is_decoded(model_folder, tmp_path, capsys):
    (path := tmp_path / "p.jsonl").write_text('{"prompt": "0204"}\n{"prompt": "31x2"}\n')
    output = tmp_path / "out.jsonl"
    assert main(["sample", "--model", str(model_folder), "--prompts", str(path), "--output", str(output)]) == 2
    assert f"{path}: row 1 (counted from 0): the tokenizer cannot encode the text" in capsys.readouterr().err
    assert not output.exists()


def test_a_model_without_a_tokenizer_is_sampled_with_another(model_folder, tmp_path, capsys):
    words = ["--prompt", "0204300000100003", "--gen_length", "4", "--steps", "2"]
    assert main(["sample", "--model", str(model_folder), *words]) == 0
    expected = capsys.readouterr().out
    load_model(str(model_folder)).save_pretrained(tmp_path / "bare")
    bare = ["sample", "--model", str(tmp_path / "bare"), *words]
    assert main(bare) == 2 and "pass --tokenizer_name_or_path" in capsys.readouterr().err
    assert main([*bare, "--tokenizer_name_or_path", str(model_folder)]) == 0
    assert capsys.readouterr().out == expected

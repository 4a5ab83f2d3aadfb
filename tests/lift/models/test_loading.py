"""Models from folders: those of transformers, and those that bring their own code."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lift.cli import main
from lift.errors import LiftError
from lift.models.loading import load_config, load_model, load_skeleton, load_tokenizer, new_model, resolve_package_path
from lift.tasks import sudoku
from tests.doubles.checkpoint import FAMILIES, write_checkpoint
from tests.lift.support.tiny import tiny_model
from tests.lift_kernels.tiny_models import build

IDS = torch.arange(8).view(1, 8)


def logits(model) -> torch.Tensor:
    mask = {"attention_mask": torch.zeros(1, 1, 8, 8)} if model.config.model_type == "llada2_moe" else {}
    return model.eval()(IDS, **mask).logits


@pytest.mark.usefixtures("remote_code_cache")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_with_its_own_code_is_loaded_with_its_head_and_saved_with_its_code(family, tmp_path):
    saved = write_checkpoint(tmp_path / "model", family)
    loaded = load_model(str(tmp_path / "model"), trust_remote_code=True)
    assert type(loaded).__name__ == type(saved).__name__ and type(loaded) is not type(saved)
    assert torch.equal(logits(loaded), logits(saved))
    loaded.save_pretrained(tmp_path / "again")
    again = load_model(str(tmp_path / "again"), trust_remote_code=True)
    assert torch.equal(logits(again), logits(saved))


@pytest.mark.usefixtures("remote_code_cache")
@pytest.mark.parametrize("family", FAMILIES)
def test_code_runs_only_where_it_is_trusted(family, tmp_path):
    folder = tmp_path / "model"
    write_checkpoint(folder, family, code=f"\nfrom pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    for load in (load_config, load_model):
        with pytest.raises(LiftError, match=r"brings its own Python code.*pass --trust_remote_code true\.$"):
            load(str(folder))
    assert not (tmp_path / "ran").exists()
    load_config(str(folder), trust_remote_code=True)
    assert (tmp_path / "ran").exists()


def test_a_masked_lm_of_transformers_needs_no_trust_and_comes_in_the_dtype_asked_for(tmp_path):
    saved = tiny_model().eval()
    saved.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), dtype=torch.bfloat16, attn_implementation="eager")
    assert type(loaded) is type(saved) and loaded.dtype == torch.bfloat16
    assert loaded.config._attn_implementation == "eager"
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, saved.state_dict()[name].bfloat16()), name


def test_diffusion_gemma_is_loaded_with_its_head(tmp_path):
    model = build("diffusion-gemma", torch.float32)
    model.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path))
    for (name, ours), theirs in zip(loaded.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    skeleton = load_skeleton(str(tmp_path))
    assert type(skeleton) is type(model) and next(skeleton.parameters()).is_meta


def test_a_new_model_takes_what_its_tokenizer_knows_and_the_global_seed():
    options = {
        "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
    }  # fmt: skip
    tokenizer = sudoku.build_tokenizer()
    first, second = (new_model(options, tokenizer) for _ in range(2) if torch.manual_seed(3))
    assert first.config.vocab_size == len(tokenizer) and first.config.pad_token_id == tokenizer.pad_token_id
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with pytest.raises(LiftError, match="must be a mapping with model_type"):
        new_model({}, tokenizer)


def test_a_model_that_reads_one_way_is_refused(tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=1, n_positions=8)).save_pretrained(tmp_path)
    with pytest.raises(LiftError, match=r"of type 'gpt2', of which transformers .* has no masked language model"):
        load_model(str(tmp_path))


def test_pickled_weights_are_refused(tmp_path):
    model = tiny_model()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(LiftError, match=r"no weights in the safetensors format; pickled ones .* may run code"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("load", [load_config, load_model, load_tokenizer])
@pytest.mark.parametrize("name", ["./nowhere", "/no/such", "runs/mine/model"])
def test_a_folder_that_is_not_there_is_taken_for_no_id(load, name):
    with pytest.raises(LiftError, match=rf"could be loaded from {name}: there is no such folder\.$"):
        load(name)


@pytest.mark.parametrize("load", [load_config, load_model, load_tokenizer])
def test_a_folder_without_a_model_is_named(load, tmp_path):
    with pytest.raises(LiftError, match=rf"no (model|tokenizer) could be loaded from {tmp_path}"):
        load(str(tmp_path))


def test_a_tokenizer_of_special_tokens_alone_is_none(tmp_path):
    """transformers 5 makes one of the model's class, with the names of its special tokens and an empty vocabulary."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    tokens = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])}
    with pytest.raises(LiftError, match=f"^no tokenizer could be loaded from {tmp_path}: "):
        load_tokenizer(str(tmp_path))
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    with pytest.raises(
        LiftError, match="the one there has 5 special tokens and nothing else; save the model's tokenizer"
    ):
        load_tokenizer(str(tmp_path))
    (tmp_path / "vocab.txt").write_text("\n".join([*tokens, "a"]))
    assert len(load_tokenizer(str(tmp_path))) == 6


@pytest.mark.parametrize("broken", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_broken_file_is_one_sentence(tmp_path, broken):
    tiny_model().save_pretrained(tmp_path)
    sudoku.build_tokenizer().save_pretrained(tmp_path)
    (tmp_path / broken).write_text("{")
    with pytest.raises(LiftError, match=f"^no (model|tokenizer) could be loaded from {tmp_path}: [^\n]+\\.$"):
        load_tokenizer(str(tmp_path))
        load_model(str(tmp_path))


def test_a_package_is_a_folder(tmp_path, monkeypatch):
    folder = tmp_path / "tiny_weights" / "model"
    tiny_model().save_pretrained(folder)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve_package_path("package:tiny_weights/model") == str(folder)
    assert load_model("package:tiny_weights/model").num_parameters() == tiny_model().num_parameters()
    with pytest.raises(LiftError, match="the package tiny_weights has no 'other'"):
        load_model("package:tiny_weights/other")
    with pytest.raises(LiftError, match="the package not_there is not installed"):
        load_tokenizer("package:not_there/model")


def test_the_command_line_asks_for_trust_in_one_sentence(tmp_path, capsys):
    folder = tmp_path / "model"
    write_checkpoint(folder, "dream")
    sudoku.build_tokenizer().save_pretrained(folder)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": "1234", "completion": "4321"}) + "\n" for _ in range(4)))
    arguments = ["--model_name_or_path", str(folder), "--train_data", str(rows), "--output_dir", str(tmp_path / "out")]
    assert main(["train", *arguments, "--use_cpu", "true"]) == 2
    assert " ".join(capsys.readouterr().err.split()).endswith("read that code, then pass --trust_remote_code true.")


@pytest.mark.usefixtures("remote_code_cache")
@pytest.mark.parametrize("flags", [[], ["--trust_remote_code", "false"]])
@pytest.mark.parametrize("command", ["train", "sample", "merge"])
def test_no_command_runs_code_that_is_not_trusted(command, flags, tmp_path, capsys):
    folder, ran = tmp_path / "model", tmp_path / "ran"
    write_checkpoint(folder, "llada", code=f"\nopen({str(ran)!r}, 'w').close()\n")
    sudoku.build_tokenizer().save_pretrained(folder)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "01", "completion": "23"}\n' * 4)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}))
    arguments = {
        "train": ["--model_name_or_path", folder, "--train_data", tmp_path / "rows.jsonl", "--output_dir", tmp_path / "o"],
        "sample": ["--model", folder, "--prompt", "01"],
        "merge": ["--model", adapter, "--output_dir", tmp_path / "o"],
    }[command]  # fmt: skip
    assert main([command, *map(str, arguments), *flags]) == 2
    assert "own Python code" in " ".join(capsys.readouterr().err.split())
    assert not ran.exists()

"""`lift merge`: the merged model is the adapter's model, whole on disk or not there at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, GenerationConfig

from lift.atomic_write import atomic_folder
from lift.cli import main
from lift.models.lora import LoraArguments, add_lora, load_adapter
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model

IDS = torch.tensor([[2, 3, 4, 5, 6, 7, 1, 1]])


def save_adapter(folder: Path, dtype: torch.dtype = torch.float32, **options) -> tuple[Path, Path]:
    """A base and an adapter that changes it, as `lift train` leaves them; `options` are of peft.LoraConfig."""
    base, adapter = folder / "base", folder / "adapter"
    model = tiny_model().to(dtype)
    model.save_pretrained(base)
    model = AutoModelForMaskedLM.from_pretrained(base, dtype=dtype)
    if options:
        model = get_peft_model(model, LoraConfig(r=4, **options))
    else:
        model = add_lora(model, LoraArguments(use_peft=True, lora_r=4))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(adapter)
    for path in (base, adapter):
        sudoku.build_tokenizer().save_pretrained(path)
    return base, adapter


def merge(adapter: Path, output: Path, *options: str) -> int:
    return main(["merge", "--model", str(adapter), "--output_dir", str(output), *options])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_the_merged_model_is_base_plus_adapter(tmp_path, capsys, dtype, tolerance):
    base, adapter = save_adapter(tmp_path, dtype)
    assert merge(adapter, tmp_path / "merged") == 0
    printed = capsys.readouterr().out.splitlines(keepends=True)[
        -1
    ]  # DeepSpeed, where it is installed, has its say before
    assert printed == (
        f"merged {adapter} into {base}: 4,840 parameters, {str(dtype).removeprefix('torch.')}, in {tmp_path}/merged/\n"
    )
    assert {path.name for path in (tmp_path / "merged").iterdir()} >= {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "base", "merged"]

    assert len({path.stat().st_mode for path in (tmp_path / "merged").iterdir()}) == 1  # readable as the umask says
    weights, before = load_file(tmp_path / "merged" / "model.safetensors"), load_file(base / "model.safetensors")
    lora = load_file(adapter / "adapter_model.safetensors")
    assert weights.keys() == before.keys() and len(lora) == 18
    for name, value in weights.items():
        expected = before[name]
        prefix = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{prefix}.lora_A.weight" in lora:
            delta = lora[f"{prefix}.lora_B.weight"].double() @ lora[f"{prefix}.lora_A.weight"].double() * 32 / 4
            exact = expected.double() + delta
            assert value.dtype == dtype and not torch.equal(value, expected)
            # One rounding to the base's dtype, of a sum in float32.
            allowed = torch.finfo(dtype).eps / 2 * exact.abs() + 1e-7
            assert ((value.double() - exact).abs() <= allowed).all()
        else:
            assert torch.equal(value, expected)

    merged = AutoModelForMaskedLM.from_pretrained(tmp_path / "merged", dtype=dtype)
    adapted = load_adapter(AutoModelForMaskedLM.from_pretrained(base, dtype=dtype), adapter).eval()
    logits, theirs = merged.eval()(IDS).logits, adapted(IDS).logits
    torch.testing.assert_close(logits, theirs, rtol=0, atol=tolerance * theirs.abs().max().item())
    plain = AutoModelForMaskedLM.from_pretrained(base, dtype=dtype).eval()(IDS).logits
    assert (plain - theirs).abs().max() > 5 * tolerance * theirs.abs().max()


@pytest.mark.parametrize(
    "options",
    [
        {"use_rslora": True, "lora_alpha": 3},
        {"use_dora": True},
        {"modules_to_save": ["head.dense"]},
        {"bias": "lora_only"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_each_weight_is_rounded_once(tmp_path, options):
    """The nearest bfloat16 to what the same adapter makes of the base in float32, whatever its kind."""
    target_modules = ["Wqkv", "Wo"]  # with a matrix product of less than a thousand terms
    base, adapter = save_adapter(tmp_path, torch.bfloat16, target_modules=target_modules, **options)
    assert merge(adapter, tmp_path / "merged") == 0
    wide = load_adapter(AutoModelForMaskedLM.from_pretrained(base, dtype=torch.float32), adapter)
    expected = wide.merge_and_unload().state_dict()
    weights, before = load_file(tmp_path / "merged" / "model.safetensors"), load_file(base / "model.safetensors")
    changed = {name for name, value in weights.items() if not torch.equal(value, before[name])}
    assert len(changed) >= 4
    for name, value in weights.items():
        assert value.dtype == torch.bfloat16 and torch.equal(value, expected[name].to(torch.bfloat16)), name


def test_a_merged_model_keeps_what_a_sampler_needs(tmp_path):
    base, adapter = save_adapter(tmp_path)
    GenerationConfig(eos_token_id=[3, 4]).save_pretrained(base)
    (adapter / "lift.json").write_text('{"mask_token_id": 5}')
    assert merge(adapter, tmp_path / "merged") == 0
    assert AutoConfig.from_pretrained(tmp_path / "merged").mask_token_id == 5
    assert GenerationConfig.from_pretrained(tmp_path / "merged").eos_token_id == [3, 4]


def test_another_base_and_a_tokenizer_from_it(tmp_path, capsys):
    base, adapter = save_adapter(tmp_path)
    for path in adapter.glob("token*"):
        path.unlink()
    moved = base.rename(tmp_path / "moved")
    assert merge(adapter, tmp_path / "merged") == 2
    assert str(base) in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()
    (tmp_path / "merged").mkdir()  # an empty folder is as good as none
    assert merge(adapter, tmp_path / "merged", "--base", str(moved)) == 0
    assert len(AutoTokenizer.from_pretrained(tmp_path / "merged")) == len(sudoku.build_tokenizer())


def test_a_tokenizer_that_lies_elsewhere(tmp_path, capsys):
    base, adapter = save_adapter(tmp_path)
    for folder in (base, adapter):
        for path in folder.glob("token*"):
            path.unlink()
    assert merge(adapter, tmp_path / "merged") == 2
    assert "pass --tokenizer_name_or_path" in capsys.readouterr().err
    sudoku.build_tokenizer().save_pretrained(tmp_path / "tokenizer")
    assert merge(adapter, tmp_path / "merged", "--tokenizer_name_or_path", str(tmp_path / "tokenizer")) == 0
    assert len(AutoTokenizer.from_pretrained(tmp_path / "merged")) == len(sudoku.build_tokenizer())


def test_the_folder_that_one_is_in(tmp_path, monkeypatch):
    _, adapter = save_adapter(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert merge(adapter, Path(".")) == 0
    assert (tmp_path / "here" / "model.safetensors").is_file()


def set_nan(base: Path, adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: value * float("nan") for name, value in weights.items()}, adapter / "adapter_model.safetensors")


def pickle_base(base: Path, adapter: Path) -> None:
    torch.save(tiny_model().state_dict(), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()


def pickle_base_beside_others(base: Path, adapter: Path) -> None:
    save_file({"other": torch.zeros(1)}, base / "other.safetensors")
    pickle_base(base, adapter)


def pickle_adapter(base: Path, adapter: Path) -> None:
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()


def quantise_base(base: Path, adapter: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (base / "config.json").write_text(json.dumps(config))


def adapt_what_is_shared(base: Path, adapter: Path) -> None:
    config = LoraConfig(r=2, target_modules=["tok_embeddings"], base_model_name_or_path=str(base))
    get_peft_model(AutoModelForMaskedLM.from_pretrained(base), config).save_pretrained(adapter)


REFUSED = {
    "a shared layer": (
        adapt_what_is_shared, "cannot be merged: base_model.model.model.embeddings.tok_embeddings shares its weight with"
    ),
    "pickled base": (pickle_base, "has no .safetensors file, and pickled weights are not read: convert them."),
    "pickled base beside others": (pickle_base_beside_others, "safetensors"),
    "pickled adapter": (pickle_adapter, "has no adapter_model.safetensors, and pickled weights are not read"),
    "no adapter": (lambda base, adapter: shutil.rmtree(adapter), "is no adapter: it has no adapter_config.json."),
    "not finite": (set_nan, "cannot be merged: NaNs detected"),
    "quantised base": (quantise_base, "is quantised: merge into the model it was made from, with --base."),
    "base is an adapter": (
        lambda base, adapter: shutil.copy(adapter / "adapter_config.json", base), "is an adapter itself: merge that"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_merged_is_one_sentence_and_leaves_nothing(tmp_path, capsys, name):
    change, words = REFUSED[name]
    base, adapter = save_adapter(tmp_path)
    change(base, adapter)
    capsys.readouterr()
    assert merge(adapter, tmp_path / "merged") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("lift merge: ") and words in lines[0]
    assert {path.name for path in tmp_path.iterdir()} <= {"adapter", "base"}


def test_an_output_in_use_is_kept(tmp_path, capsys):
    _, adapter = save_adapter(tmp_path)
    for output in (adapter, tmp_path / "file"):
        (tmp_path / "file").write_text("years of work")
        assert merge(adapter, output) == 2
        assert "is not an empty folder: choose another." in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "years of work"


@pytest.mark.parametrize("output", ["/proc/nothing/out", "file/out", "x" * 300, "nul\0"])
def test_an_output_that_cannot_be_written_is_refused_before_the_base_is_read(tmp_path, monkeypatch, capsys, output):
    _, adapter = save_adapter(tmp_path)
    shutil.rmtree(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    capsys.readouterr()
    assert merge(adapter, Path(output)) == 2
    error = capsys.readouterr().err
    assert error.startswith("lift merge: output_dir") and error.endswith("): choose another.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "file"]


def test_weights_that_overflow_when_they_are_rounded_are_refused(tmp_path, capsys):
    _, adapter = save_adapter(tmp_path, torch.float16)
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: value.float() * 1e4 for name, value in weights.items()}, adapter / "adapter_model.safetensors")
    assert merge(adapter, tmp_path / "merged") == 2
    assert "is not finite in float16." in capsys.readouterr().err and not (tmp_path / "merged").exists()


def test_a_folder_is_whole_or_not_there(tmp_path):
    with pytest.raises(OSError, match="disk full"), atomic_folder(tmp_path / "a" / "out") as folder:
        (folder / "half").touch()
        raise OSError("disk full")
    assert not list((tmp_path / "a").iterdir())
    with atomic_folder(tmp_path / "a" / "out") as folder:
        (folder / "whole").touch()
        assert not (tmp_path / "a" / "out").exists()
    assert [path.name for path in (tmp_path / "a" / "out").iterdir()] == ["whole"]


def test_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["merge", "--help"])
    assert "--output_dir" in capsys.readouterr().out

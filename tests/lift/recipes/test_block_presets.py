"""Presets of published block diffusion trainers: their options compute what was recorded from those trainers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lift.cli import main
from lift.cli.train_arguments import parse
from lift.data.collated_batch import CollatedBatch
from lift.models.saved_record import block_size_of, record_in
from lift.objectives import Draws, StepCounts, normalise
from lift.training.batch_builder import BatchBuilder
from lift_kernels import CorruptedTokens
from lift_kernels.models.next_token import to_predictor
from tests.doubles.checkpoint import write_checkpoint
from tests.lift.support.golden_blocks import Case
from tests.lift.support.tiny import prose_tokenizer
from tests.transformers_version import needs_packing

SIZE = ["--block_size", "4"]  # of the recorded rows, which are short
RECORDED = [
    ("bd3lms", "bd3lms", []),
    ("bd3lms", "bd3lms_clipped", ["--time_range", "0.45", "0.95"]),
    ("dllm-bd3lm", "dllm_bd3lm", SIZE),
    ("llada2-dfactory", "dfactory", SIZE),
    ("sdar", "sdar_packed", SIZE),
    ("fast-dllm-v2", "fastdllm_v2", SIZE),
]


@pytest.fixture
def recorded(shared_dir):
    folder = shared_dir / "golden_blocks"
    if not folder.is_dir():
        pytest.skip("the folder ../shared has no recorded steps of block diffusion trainers")

    def read(name: str) -> Replayed:
        case = Replayed.read(folder / f"train_{name}_a")
        assert case.differences() == []
        return case

    return read


class Replayed(Case):
    """A case that keeps what its loss was computed from."""

    def loss(self, *given: Any, **named: Any) -> Tensor:
        self.__dict__["given"] = given, named
        return super().loss(*given, **named)


def options_of(preset, tmp_path, *flags):
    needed = ["--output_dir", str(tmp_path), "--use_cpu", "true", "--model_name_or_path", "m", "--train_data", "d"]
    return parse(["--preset", preset, *needed, *flags]).config


def uniforms(case) -> tuple[list[Tensor], Tensor]:
    """What the trainer drew: the numbers behind each row's times, in order, and one (B, L) for each token."""
    drawn = [case.tensors[f"draw{n}"] for n in range(len(case.record["draws"]))]
    if case.record["family"] in ("dfactory", "sdar"):  # row by row
        return drawn[::2], torch.stack([draw.flatten() for draw in drawn[1::2]])
    return list(drawn[0].view(len(drawn[1]), -1)), drawn[1]


def batch_of(case, options) -> CollatedBatch:
    """The clean rows, as the collator would give them."""
    clean = case.tensors.get("clean_ids", case.tensors.get("collated_input_ids"))
    family, position = case.record["family"], torch.arange(clean.shape[1])
    maskable = {
        "bd3lms": lambda: torch.ones_like(clean, dtype=torch.bool),
        "dllm_bd3lm": lambda: case.collated_labels != -100,
        "dfactory": lambda: position >= torch.tensor(case.record["prompt_lengths"])[:, None],
        "sdar": lambda: case.tensors["labels"] != -100,
        "turbo_fast_v2": lambda: case.supervised,
    }[family]()
    if options.keep_first:
        maskable = maskable & (position > 0)
    batch: CollatedBatch = {
        "input_ids": clean, "maskable": maskable, "example_id": torch.arange(len(clean)) + 7,
        "lengths": (clean.shape[1],) * len(clean),
    }  # fmt: skip
    return batch | {"position_ids": case.modified_position_ids} if family == "sdar" else batch


def prepared_batch(case, options, monkeypatch):
    """Our step, of the numbers that the trainer drew in the place of ours."""
    of_times, of_tokens = uniforms(case)
    inputs = batch_of(case, options)
    builder = BatchBuilder(options, None, mask_token_id=case.mask, pad_token_id=0, block_size=options.block_size)

    def draw_time(distribution, seed, names, **place):
        assert distribution == "uniform"
        found = {}
        for row, times in zip(inputs["example_id"].tolist(), of_times, strict=True):
            own = dict.fromkeys(name for name in names.tolist() if name % 2**32 == row)
            # A row of fewer blocks than others has names for those that it lacks.
            found |= dict.fromkeys(own, 0.5) | dict(zip(own, times.tolist(), strict=False))
        return torch.tensor([found[name] for name in names.tolist()])

    def corrupt_tokens(ids, rate, *, mask_token_id, seed, maskable, row_ids):
        if case.record["family"] == "bd3lms":  # which draws some blocks anew, and restores the first token
            is_masked = blocks.fold(case.fwd0_input_ids[:, : case.clean_ids.shape[1]] == case.mask, False)
        else:
            is_masked = (blocks.fold(of_tokens, 1.0) < rate[:, None]) & maskable
        return CorruptedTokens(ids.masked_fill(is_masked, mask_token_id), is_masked)

    monkeypatch.setattr("lift.objectives.block_times.draw_time", draw_time)
    monkeypatch.setattr("lift.objectives.sft.corrupt_tokens", corrupt_tokens)
    blocks = builder._blocks(inputs)
    if case.record["family"] == "bd3lms":  # its strata are dealt out otherwise
        time = blocks.fold(case.t, 0.0).amax(1)
        draws = Draws(time, time)
    else:
        draws = builder.draw(inputs, seed=0)
    prepared = builder.build(inputs, draws, 0, nn.Module())
    counts = StepCounts.of([prepared.maskable], lambda sums: sums)
    return normalise(prepared, options, counts, share=1.0).batch


def losses(case, options, monkeypatch):
    """The labels, and our loss and gradients from the head's recorded inputs."""
    batch = prepared_batch(case, options, monkeypatch)
    labels, weight = batch.labels, batch.token_weight
    if case.record["family"] == "turbo_fast_v2":  # as the patched forward of a model that predicts the next token
        labels, weight = to_predictor(labels, -100), to_predictor(weight, 0)
    exclude = case.mask if options.exclude_mask_token else None
    named = {"index": case.given[1].get("index"), "exclude": exclude}
    Case.loss(case, labels, weight, batch.denominator, **named)
    return labels, {name: case.close[name] for name in ("loss", "grad_hidden", "grad_head_weight")}


@pytest.mark.parametrize(("preset", "name", "flags"), RECORDED, ids=[name for _, name, _ in RECORDED])
def test_a_recorded_step_has_the_presets_loss(recorded, tmp_path, monkeypatch, preset, name, flags):
    case, options = recorded(name), options_of(preset, tmp_path, *flags)
    labels, found = losses(case, options, monkeypatch)
    assert torch.equal(labels, case.given[0][0]) and (labels != -100).sum() >= 6
    # What the preset's comment says is otherwise.
    factor, tolerance = 1.0, 3e-6
    if preset == "bd3lms":  # the first tokens count in its denominator
        factor = 1 - len(case.clean_ids) / case.clean_ids.numel()
    if preset == "dllm-bd3lm":  # 1 / (t + 1e-6)
        tolerance += 1e-6 / torch.cat(uniforms(case)[0]).min().item()
    for key, ours in found.items():
        theirs = case.tensors[key]
        assert (ours * factor - theirs).abs().max() <= tolerance * theirs.abs().max(), key


@pytest.mark.parametrize(
    ("preset", "name", "flags"),
    [
        ("bd3lms", "bd3lms", ["--exclude_mask_token", "false"]),
        ("bd3lms", "bd3lms", ["--time_scaling", "false"]),
        ("bd3lms", "bd3lms", ["--keep_first", "false"]),
        ("dllm-bd3lm", "dllm_bd3lm", [*SIZE, "--loss_normalizer", "trained"]),
        ("dllm-bd3lm", "dllm_bd3lm", [*SIZE, "--time_epsilon", "0.2"]),
        ("llada2-dfactory", "dfactory", [*SIZE, "--time_range", "0.001", "1"]),
        ("llada2-dfactory", "dfactory", [*SIZE, "--loss_normalizer", "micro_batch"]),
        ("sdar", "sdar_packed", [*SIZE, "--time_scope", "row"]),
        ("sdar", "sdar_packed", [*SIZE, "--loss_normalizer", "trained"]),
        ("fast-dllm-v2", "fastdllm_v2", [*SIZE, "--loss_normalizer", "token"]),
        ("fast-dllm-v2", "fastdllm_v2", [*SIZE, "--time_scaling", "true"]),
    ],
    ids=lambda value: value[-2].lstrip("-") if isinstance(value, list) else value,
)  # fmt: skip
def test_it_has_another_loss_where_an_option_differs(recorded, tmp_path, monkeypatch, preset, name, flags):
    case, options = recorded(name), options_of(preset, tmp_path, *flags)
    factor = 1 - len(case.clean_ids) / case.clean_ids.numel() if preset == "bd3lms" else 1.0
    _, found = losses(case, options, monkeypatch)
    assert abs(found["loss"] * factor - case.tensors["loss"]) > 1e-3 * case.tensors["loss"]


DOUBLES = {
    "bd3lms": "a2d_qwen3", "dllm-bd3lm": "a2d_qwen3", "llada2-dfactory": "llada2_moe", "sdar": "sdar",
    "fast-dllm-v2": "dream", "llada2-mini-lora": "llada2_moe",
}  # fmt: skip


@needs_packing
@pytest.mark.usefixtures("remote_code_cache")
@pytest.mark.parametrize(("preset", "family"), DOUBLES.items(), ids=list(DOUBLES))
def test_a_preset_trains_a_double_of_its_model(preset, family, tmp_path, capsys):
    """A few steps in blocks of four, which the saved model is then known to have been trained in."""
    tokenizer = prose_tokenizer()
    write_checkpoint(tmp_path / "model", family, vocab_size=len(tokenizer), mask_token_id=5, pad_token_id=0)
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"prompt": f"{i}+{i}?", "completion": str(2 * i)} for i in range(24)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, trust = tmp_path / "out", ["--trust_remote_code", "true"]
    assert main([
        "train", "--preset", preset, "--model_name_or_path", str(tmp_path / "model"), "--train_data",
        str(tmp_path / "rows.jsonl"), "--num_eval_rows", "8", "--max_length", "24", *SIZE, *trust, "--use_cpu", "true",
        "--max_steps", "6", "--warmup_steps", "0", "--learning_rate", "3e-2", "--gradient_accumulation_steps", "2",
        "--dtype", "float32", "--bf16", "false", "--output_dir", str(out),
    ]) == 0  # fmt: skip
    losses = json.loads((out / "metrics.json").read_text())
    assert losses["after"]["eval_loss"] < losses["before"]["eval_loss"]
    assert block_size_of(record_in(out)) == 4
    if preset == "llada2-mini-lora":
        capsys.readouterr()
        merged = tmp_path / "merged"
        assert main(["merge", "--model", str(out), "--output_dir", str(merged), *trust]) == 0
        answers = []
        for folder in (out, merged):
            assert main(["sample", "--model", str(folder), "--prompt", "1+1?", "--gen_length", "6", *trust]) == 0
            captured = capsys.readouterr()
            answers.append(captured.out.splitlines()[-1])
            assert "text is written in blocks of 4 tokens" in captured.err
        assert answers[0] == answers[1]

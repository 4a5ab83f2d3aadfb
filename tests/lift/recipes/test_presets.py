"""The packaged recipes: what they set, and that their options work together."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from lift.cli import main
from lift.cli.train_arguments import parse
from lift.recipes import PRESETS, preset_names, preset_summaries
from lift.sampling.blocks import BlockDecoder
from lift.tasks import sudoku
from tests.doubles.checkpoint import write_checkpoint
from tests.lift.cli.support import TINY_MODEL
from tests.lift.support.tiny import prose_tokenizer, tiny_model
from tests.transformers_version import needs_packing

# Training configuration of the LIFT paper's launcher and code.
PAPER = {
    "method": "lift3", "time_scaling": True, "num_train_epochs": 20, "learning_rate": 5e-6, "lr_scheduler_type": "linear",
    "warmup_steps": 0, "weight_decay": 0.1, "max_grad_norm": 1.0, "bf16": True, "seed": 42, "eval_strategy": "steps",
    "eval_steps": 100, "save_strategy": "steps", "save_steps": 100, "save_total_limit": 20, "logging_steps": 10,
    "load_best_model_at_end": True,
}  # fmt: skip
LARGE = {
    "llada-8b": ("GSAI-ML/LLaDA-8B-Instruct", 126336),
    "dream-7b": ("Dream-org/Dream-v0-Instruct-7B", 151666),
}


def preset(name: str) -> dict:
    return yaml.safe_load((PRESETS / f"{name}.yaml").read_text("utf-8"))


def test_these_presets_are_packaged():
    assert preset_names() == [
        "bd3lms", "countdown", "dllm-bd3lm", "dream-7b", "fast-dllm-v2", "gsm8k-minilm", "llada-8b", "llada2-dfactory",
        "llada2-mini-lora", "sdar", "sudoku",
    ]  # fmt: skip


def test_each_preset_begins_with_a_line_about_it():
    summaries = preset_summaries()
    assert list(summaries) == preset_names()
    for name, summary in summaries.items():
        assert (PRESETS / f"{name}.yaml").read_text("utf-8").startswith(f"# {summary}\n")
        assert 20 < len(summary) <= 100 and summary.endswith(".")


@pytest.mark.parametrize("name", LARGE)
def test_the_large_presets_are_the_published_recipe(name, tmp_path):
    arguments = parse(["--preset", name, "--output_dir", str(tmp_path), "--use_cpu", "true"])
    model, data, config = arguments.model, arguments.data, arguments.config
    assert (model.model_name_or_path, config.mask_token_id) == LARGE[name]
    assert not model.trust_remote_code  # code from the Hub runs when the user says so
    assert (model.use_peft, model.lora_r, model.lora_alpha, model.lora_dropout) == (True, 128, 256, 0.05)
    assert (model.lora_target_modules, model.dtype, model.load_in_4bit) == (
        ["q_proj", "k_proj", "v_proj"],
        "bfloat16",
        False,
    )
    assert {key: getattr(config, key) for key in PAPER} == PAPER
    assert config.per_device_train_batch_size * config.gradient_accumulation_steps == 8
    options = vars(data) | vars(config)
    assert [options[name] for name in ("train_data", "data_format", "max_length")] == [
        ["simplescaling/s1k"],
        "s1k",
        4096,
    ]
    assert not config.gradient_checkpointing and not config.reference_quirks
    # 990 rows, 10 of them held out: evaluation, saving and the best checkpoint happen within the run.
    assert config.eval_steps < config.num_train_epochs * 980 // 8


@pytest.mark.parametrize("name", LARGE)
def test_a_users_flags_win_over_a_preset(name, tmp_path):
    flags = ["--use_peft", "false", "--gradient_checkpointing", "true", "--lora_target_modules", "all-linear"]
    arguments = parse(["--preset", name, "--output_dir", str(tmp_path), "--use_cpu", "true", *flags])
    model, config = arguments.model, arguments.config
    assert not model.use_peft and model.lora_target_modules == ["all-linear"] and config.gradient_checkpointing


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> str:
    """The recipe of LLaDA-8B with a small model, its layers and small rows in place of the large ones."""
    tiny_model().save_pretrained(tmp_path / "base")
    sudoku.build_tokenizer().save_pretrained(tmp_path / "base")
    rows = [{"question": p.clues, "answer": p.solution} for p in sudoku.generate_puzzles(20, seed=0)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    large = {"mask_token_id", "data_format", "train_split", "num_train_epochs"}
    recipe = {key: value for key, value in preset("llada-8b").items() if key not in large}
    recipe |= {
        "model_name_or_path": str(tmp_path / "base"), "train_data": str(tmp_path / "rows.jsonl"), "max_steps": 2,
        "prompt_column": "question", "completion_column": "answer", "lora_target_modules": ["Wqkv"], "num_eval_rows": 4,
        "eval_steps": 1, "save_steps": 1, "max_length": 40, "use_cpu": True, "learning_rate": 0.01,
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return str(tmp_path / "recipe.yaml")


def test_the_recipe_trains_resumes_samples_and_merges(tmp_path, tiny_recipe, capsys):
    out, merged = tmp_path / "out", tmp_path / "merged"
    train = ["train", tiny_recipe, "--output_dir", str(out), "--gradient_checkpointing", "true"]
    assert main(train) == 0
    assert "of them trained" in capsys.readouterr().out
    assert (out / "adapter_model.safetensors").is_file() and not (out / "model.safetensors").exists()
    assert main([*train, "--max_steps", "3", "--resume_from_checkpoint", "true"]) == 0
    assert json.loads((out / "metrics.json").read_text())["steps"] == 3

    assert main(["merge", "--model", str(out), "--output_dir", str(merged)]) == 0
    capsys.readouterr()
    answers = []
    for model in (out, merged):
        assert main(["sample", "--model", str(model), "--prompt", "0204300000100003"]) == 0
        answers.append(capsys.readouterr().out.strip().splitlines()[-1])
    assert len(answers[0]) == 16 and answers[0] == answers[1]

    assert main(["train", tiny_recipe, "--output_dir", str(tmp_path / "again"), "--model_name_or_path", str(out)]) == 2
    assert "is an adapter: go on with --resume_from_checkpoint" in capsys.readouterr().err


def test_the_countdown_preset_fits_its_rows(tmp_path, capsys):
    arguments = ["--num_train_puzzles", "40", "--num_test_puzzles", "8", "--max_steps", "2", "--warmup_steps", "1"]
    out = tmp_path / "out"
    assert main(["train", "--preset", "countdown", *arguments, "--output_dir", str(out)]) == 0
    assert main(["sample", "--model", str(out), "--gen_length", "9", "--prompt", "100,93,30=23"]) == 0
    shown = capsys.readouterr()
    assert "687,472 parameters" in shown.out and "cut" not in shown.err
    assert any(line.startswith(("right", "wrong: ")) for line in shown.err.splitlines())


@needs_packing
@pytest.mark.parametrize(
    ("task", "size", "prompt", "length"), [("sudoku", 4, "0204300000100003", 16), ("countdown", 3, "100,93,30=23", 9)]
)
def test_a_puzzle_preset_in_blocks_is_scored_and_sampled_in_them(tmp_path, capsys, task, size, prompt, length):
    """Puzzles solved in training, and by `lift sample` without a flag about attention, see no later block."""
    out = tmp_path / "out"
    asked: list[str] = []
    with recorded_attention(asked):
        assert main([
            "train", "--preset", task, "--model_config", json.dumps(TINY_MODEL), "--attention", "block", "--block_size",
            str(size), "--num_train_puzzles", "40", "--num_test_puzzles", "6", "--max_steps", "2", "--warmup_steps", "1",
            "--output_dir", str(out),
        ]) == 0  # fmt: skip
        assert asked and set(asked) == {f"block_causal start {size}"}
        asked.clear()
        capsys.readouterr()
        assert main(["sample", "--model", str(out), "--gen_length", str(length), "--prompt", prompt]) == 0
    assert set(asked) == {f"block_causal start {size}"}
    assert f"text is written in blocks of {size} tokens" in capsys.readouterr().err
    assert "held_out" in json.loads((out / "metrics.json").read_text())["after"]


@contextmanager
def recorded_attention(asked: list[str]):
    """Keep what each decoding attends to."""
    original = BlockDecoder.run

    def run(self):
        asked.append(f"{self._config.attention} {self._config.block_origin} {self._block_length}")
        original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockDecoder, "run", run)
        yield


def test_an_adapter_of_a_new_model_is_refused(tmp_path, capsys):
    arguments = ["--preset", "sudoku", "--use_peft", "true", "--output_dir", str(tmp_path / "out")]
    assert main(["train", *arguments]) == 2
    assert "use_peft needs a model that was saved" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# In transformers 4 every configuration claims tied embeddings, LLaDA's too, and peft says that they no longer are.
@pytest.mark.filterwarnings("ignore:Input and output embeddings are no longer tied")
@pytest.mark.usefixtures("remote_code_cache")
@pytest.mark.parametrize(
    ("preset", "family", "width"), [("llada-8b", "llada", "d_model"), ("dream-7b", "dream", "hidden_size")]
)
def test_a_preset_trains_samples_and_merges_a_checkpoint_with_its_own_code(preset, family, width, tmp_path, capsys):
    """On doubles of the models, in the published data format; the merged model decodes what base and adapter do."""
    tokenizer = prose_tokenizer()
    write_checkpoint(
        tmp_path / "model", family, vocab_size=len(tokenizer), mask_token_id=5, pad_token_id=0, **{width: 32}
    )
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [
        {"question": f"{i}+{i}?", "thinking_trajectories": [f"{i} twice"], "attempt": str(2 * i)} for i in range(24)
    ]
    (tmp_path / "s1k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, merged, trust = tmp_path / "out", tmp_path / "merged", ["--trust_remote_code", "true"]
    assert main([
        "train", "--preset", preset, "--model_name_or_path", str(tmp_path / "model"), "--mask_token_id", "5",
        "--train_data", str(tmp_path / "s1k.jsonl"), "--num_eval_rows", "4", "--output_dir", str(out), *trust,
        "--use_cpu", "true", "--max_steps", "4", "--save_steps", "2", "--eval_steps", "2", "--learning_rate", "1e-2",
    ]) == 0  # fmt: skip
    losses = json.loads((out / "metrics.json").read_text())
    assert losses["after"]["eval_loss"] < losses["before"]["eval_loss"]
    assert (out / "adapter_model.safetensors").is_file() and not (out / "model.safetensors").exists()
    assert main(["merge", "--model", str(out), "--output_dir", str(merged), *trust]) == 0
    capsys.readouterr()
    for folder in (out, merged):
        assert main(["sample", "--model", str(folder), "--prompt", "1+1?", "--gen_length", "8", *trust]) == 0
    of_adapter, of_merged = capsys.readouterr().out.splitlines()
    assert of_adapter == of_merged and len(of_adapter) > 0

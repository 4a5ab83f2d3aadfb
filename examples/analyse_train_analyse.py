"""What does training teach, and where? `python examples/analyse_train_analyse.py`, on a CPU, without any download.

A small model learns 4x4 Sudoku with LIFT. Before and after, it is asked for every masked token of held-out puzzles at
several mask ratios; `analysis/gained/analysis.html` shows what it gained, by ratio and by token.
"""

from pathlib import Path

from transformers import ModernBertConfig, ModernBertForMaskedLM

import lift
from lift.analysis import analyze, write_report
from lift.tasks import sudoku
from lift_kernels import apply_lift_kernels


def main(output_dir: str | Path = "analysis", num_puzzles: int = 4000, **settings) -> Path:
    """Write the tables `before` and `after` and the report `gained` into `output_dir`, and return the report's page."""
    folder, tokenizer = Path(output_dir), sudoku.build_tokenizer()
    puzzles = sudoku.generate_puzzles(num_puzzles + 200, seed=0)
    rows = lift.prepare_dataset(sudoku.rows(puzzles), tokenizer, max_length=32)
    train, held_out = rows.select(range(num_puzzles)), rows.select(range(num_puzzles, len(rows)))

    layers = ["full_attention"] * 4
    model = ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=len(tokenizer), hidden_size=96, intermediate_size=192, num_hidden_layers=len(layers),
            num_attention_heads=4, max_position_embeddings=64, layer_types=layers, pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None, eos_token_id=None, cls_token_id=None, sep_token_id=None,
        )
    )  # fmt: skip
    apply_lift_kernels(model)

    names = {"tokenizer": tokenizer, "mask_token_id": tokenizer.mask_token_id}
    before = analyze(model, held_out, folder / "before", weights="before training", **names)

    recipe = {"method": "lift3", "max_steps": 600, "per_device_train_batch_size": 64, "learning_rate": 2e-3}
    args = lift.LiftConfig(output_dir=str(folder / "model"), **(recipe | settings))
    lift.LiftTrainer(model=model, args=args, train_dataset=train, processing_class=tokenizer).train()

    after = analyze(model, held_out, folder / "after", weights=f"after {args.max_steps} steps", **names)
    return write_report([before, after], folder / "gained")


if __name__ == "__main__":
    print(f"what was gained: {main()}")

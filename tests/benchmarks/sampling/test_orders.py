"""The command, on a model that has learnt nothing: every order is timed, and full logits change no answer."""

from __future__ import annotations

import json

from benchmarks.sampling.orders import FULL_LOGITS, ORDERS, main
from lift.sampling import denoise
from lift.tasks import sudoku
from tests.lift.support.tiny import tiny_model


def test_every_order_is_timed(tmp_path, capsys, monkeypatch):
    tiny_model().save_pretrained(tmp_path / "model")
    sudoku.build_tokenizer().save_pretrained(tmp_path / "model")
    read = []
    monkeypatch.setattr(denoise, "read_states", lambda *args, own=denoise.read_states: read.append(1) or own(*args))
    main(["--model", str(tmp_path / "model"), "--num_puzzles", "2", "--rounds", "2", "--output", str(tmp_path)])
    # Origin leaves its steps to chance; with full logits there would be at least 16 more a round.
    assert 3 * 16 * 4 < len(read) <= 3 * 16 * 5
    (path,) = tmp_path.glob("*-cpu-sampling-orders.json")
    rows = json.loads(path.read_text())["rows"]
    assert [row["name"] for row in rows] == [*ORDERS, FULL_LOGITS]
    assert all(row["tokens_per_second"] > 0 and row["rounds"] == 2 for row in rows)
    assert "tokens/s" in capsys.readouterr().out

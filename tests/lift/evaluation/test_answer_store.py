"""Answers on disk: found again by whoever asks for the same, and by nobody else."""

from __future__ import annotations

from lift.evaluation.answer_store import AnswerStore, key_of, number_of


def test_any_process_finds_what_another_has_kept(tmp_path):
    for rank in range(2):
        AnswerStore(tmp_path, rank).add({f"key {rank}": {"ids": [rank]}})
    for rank in range(3):
        store = AnswerStore(tmp_path, rank)
        assert store.get("key 0") == {"ids": [0]} and store.get("key 1") == {"ids": [1]} and store.get("key 2") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers-0.jsonl", "answers-1.jsonl"]


def test_half_a_line_of_a_killed_process_costs_that_line_alone(tmp_path):
    store = AnswerStore(tmp_path)
    store.add({"a": {"n": 1}, "b": {"n": 2}})
    path = tmp_path / "answers-0.jsonl"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        again = AnswerStore(tmp_path)
        again.add({"c": {"n": 3}})
        found = AnswerStore(tmp_path)
        assert found.get("c") == {"n": 3}
        first_line = whole.index(b"\n")
        assert (found.get("a") is not None) == (length >= first_line)
        path.write_bytes(whole)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = AnswerStore(None)
    store.add({"a": {"n": 1}})
    assert store.get("a") == {"n": 1} and len(store) == 1 and not list(tmp_path.iterdir())


def test_keys_and_numbers_depend_on_every_part():
    parts = [
        ("w", {"a": 1}, [1, 2], 0),
        ("v", {"a": 1}, [1, 2], 0),
        ("w", {"a": 2}, [1, 2], 0),
        ("w", {"a": 1}, [12], 0),
        ("w", {"a": 1}, [1, 2], 1),
    ]
    assert len({key_of(*part) for part in parts}) == len({number_of(*part) for part in parts}) == 5
    assert key_of("w", {"a": 1, "b": 2}) == key_of("w", {"b": 2, "a": 1})
    assert all(0 <= number_of(i) < 2**63 for i in range(100))

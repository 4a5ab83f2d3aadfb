"""Rows on the screen can be told apart without colour."""

from __future__ import annotations

from dataclasses import replace

from lift.cli.shown_rows import heading, legend, render_row
from lift.training.first_rows import CANDIDATE, KEPT, PROMPT, PUT_BACK, VISIBLE, FirstRow
from tests.lift.support.tiny import prose_tokenizer

TOKENIZER = prose_tokenizer()


def row_of(text: str, states: str, num_padding: int = 0, **options) -> FirstRow:
    names = {"p": PROMPT, "v": VISIBLE, "k": KEPT, "c": CANDIDATE, "b": PUT_BACK}
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(states)
    padded = [*ids, *[TOKENIZER.pad_token_id] * num_padding]
    return FirstRow(7, padded, [names[s] for s in states] + [KEPT] * num_padding, len(ids), (0.25,), **options)


def test_each_part_has_its_brackets_and_its_colour():
    row = row_of("hi? a cat\n.", "pppvvkbbcck")
    text = render_row(row, TOKENIZER)
    assert text.plain == "hi? |  a[ ](ca){t\\n}[.]"
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styles["hi?"] == "dim" and len(set(styles.values())) >= 4


def test_text_is_put_back_together_with_its_spaces():
    row = row_of("ab cd e", "ppvkkbv", 3, rho=(0.5,), mode=("hard",))
    assert render_row(row, TOKENIZER).plain == "ab |  [cd]( )e +3 of padding"
    assert heading(row) == "row 7: t 0.250, rho 0.500, mode hard; 5 of 8 masked, 1 put back"
    blocks = replace(row, timestep=(0.25, 0.75), rho=(0.5, 0.1), mode=("hard", "easy"))
    assert heading(blocks).startswith("row 7: t 0.250 0.750, rho 0.500 0.100, mode hard easy; 5")
    many = replace(row, timestep=(0.25,) * 7, rho=None, mode=("easy",) * 7)
    assert heading(many).startswith(f"row 7: t{' 0.250' * 6} … (7 blocks), mode{' easy' * 6} … (7 blocks); 5")
    assert (
        legend([row]).plain
        == "[text] masked and trained (kept)\n(text) masked for scoring, put back\nprompt | response"
    )


def test_long_rows_are_cut_to_a_few_lines():
    text = render_row(row_of("p" * 60 + "x" * 900, "p" * 60 + "v" * 900), TOKENIZER, 60)
    assert text.plain.startswith("… ppp") and text.plain.endswith("x …") and len(text.plain) < 5 * 60

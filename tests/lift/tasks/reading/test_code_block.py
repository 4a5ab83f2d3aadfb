"""Which text of an output is its program."""

from __future__ import annotations

import pytest

from lift.tasks.reading import find_code


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```py\nx = 1", "x = 1"),
        ("```bash\nls\n```\n```python\nx = 1\n```", "x = 1\n"),
        ("```python\ndef f(): pass\n```\n```python\nf()\n```", "def f(): pass\n"),
        ("```python\ndef g(): pass\n```\n<answer>```python\ndef f(): pass\n```</answer>", "def f(): pass\n"),
        ("```python\nx = '²'\n```", "x = '²'\n"),
        ("def f():\n    pass<|endoftext|>x", "def f():\n    pass"),
        ("    return 1", None),
        ("```bash\nls\n```", None),
        ("", None),
    ],
)
def test_blocks(output, code):
    assert find_code(output) == code

r"""Numbers as people write them, as exact rationals: `1,000`, `1{,}000`, `\$18.50`, `\frac{36}{2}`, `3 1/2`, `1e3`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

# More digits than this are no answer to a word problem, and would take long.
_MOST_DIGITS = 1000
# More characters than this state no number; and the last number of a text stands in its last ones.
_LONGEST = 2500
_SPACES = re.compile(r"\\[,;:! ]|\\quad|~")
_MARKUP = (
    (re.compile(r"\{,\}|,\\!\s*"), ","),
    (
        re.compile(r"\\(?:left|right|displaystyle|bf|rm|(?:text|math)(?:bf|rm|it|sf|tt)?|mbox|operatorname|[()\[\]])"),
        " ",
    ),
    (re.compile(r"\\[dtc]frac"), r"\\frac"),
    # A unit is no number: m^2, \text{cm}^{3}, degrees.
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?"), ""),
    (re.compile(r"(?<=[A-Za-z])\s*\}?\s*\^\s*(?:\{\s*-?\d+\s*\}|-?\d)"), " "),
    (re.compile(r"\\?[$€£¥₹]"), ""),
    (re.compile(r"[−–‒—]"), "-"),
    (re.compile(r"\\(?:times|cdot)|[×·⋅]"), "*"),
    (re.compile(r"\\approx|\\simeq|≈"), "="),
)
_CHUNK = r"(?:\d[\d,.:]*|\.\d+)"
_FRAC = re.compile(
    rf"\\frac\s*(?:\{{\s*(-?)\s*({_CHUNK})\s*\}}\s*\{{\s*({_CHUNK})\s*\}}|()(\d)\s*(\d))"
)  # fmt: skip
_GROUPS = re.compile(r"(?<![\d.,:])\d{1,3}(?: \d{3})+(?![\d:/]| ?/)")
_NUMBER = re.compile(
    rf"(?P<whole>{_CHUNK})\s+(?P<top>\d+)\s*/\s*(?P<bottom>\d+)"
    rf"|(?P<numerator>{_CHUNK})\s*/\s*(?P<denominator>{_CHUNK})"
    rf"|(?P<mantissa>{_CHUNK})\s*(?:[*x]\s*10\s*\^\s*\{{?\s*(?P<power>[+-]?\d+)\s*\}}?|[eE](?P<exponent>[+-]?\d+))"
    rf"|(?P<base>{_CHUNK})\s*\^\s*\{{?\s*(?P<raised>\d+)\s*\}}?"
    rf"|(?P<plain>{_CHUNK})"
)
_DECIMAL = re.compile(r"(\d{1,3}(?:,\d{3})+|\d*)(?:\.(\d*))?")
_HOUR = re.compile(r"(\d{1,2}):00")


@dataclass(frozen=True)
class WrittenNumber:
    """A number in a text: its value, None where what stands there is none, such as `1,00` or `2:30`."""

    value: Fraction | None
    start: int
    end: int
    is_glued: bool
    """Whether a letter stands directly before it, as in `m2`."""


def read_number(text: str) -> Fraction | None:
    """Return the one number on the last side of an equation; None where there is none, or more than one."""
    if len(text) > _LONGEST:
        return None
    sides = [side for side in _plain(text).split("=") if re.search(r"\d", side)]
    numbers = _numbers(sides[-1]) if sides else []
    return numbers[0].value if len(numbers) == 1 else None


def first_number(text: str) -> Fraction | None:
    """Return what a sentence says: its one number, else its first one, unless others are named beside it."""
    value = read_number(text)
    if value is not None:
        return value
    plain = _plain(text[:_LONGEST])
    numbers = _numbers(plain)
    if len(numbers) < 2 or re.fullmatch(r"\W*(?:or|and|to)?\W*", plain[numbers[0].end : numbers[1].start]):
        return None
    return numbers[0].value


def last_number(text: str) -> Fraction | None:
    """Return the last number of a text."""
    numbers = _numbers(_plain(text[-_LONGEST:]))
    return numbers[-1].value if numbers else None


def _plain(text: str) -> str:
    text = _SPACES.sub(" ", _MARKUP[0][0].sub(_MARKUP[0][1], text))
    for pattern, replacement in _MARKUP[1:]:
        text = pattern.sub(replacement, text)
    text = _FRAC.sub(lambda m: f" {m[1] or ''}{m[2] or m[5]}/{m[3] or m[6]} ", text)
    return _GROUPS.sub(lambda group: group.group().replace(" ", ""), text)


def _numbers(text: str) -> list[WrittenNumber]:
    """Return the numbers of a plain text; those behind a letter, as in `m2`, only where there are no others."""
    found = []
    for match in _NUMBER.finditer(text):
        before = text[: match.start()][-40:]
        sign = re.search(r"-[\s({]*$", before)
        is_negative = sign is not None and not re.search(r"[\w.)\]}]\s*$", before[: sign.start()])
        value = _value(match)
        if value is not None and is_negative:
            value = -value
        found.append(WrittenNumber(value, match.start(), match.end(), bool(re.search(r"[A-Za-z_]$", before))))
    free = [number for number in found if not number.is_glued]
    return free or found


def _value(match: re.Match[str]) -> Fraction | None:
    parts = match.groupdict()
    if parts["whole"] is not None:
        whole, top, bottom = (_decimal(parts[name]) for name in ("whole", "top", "bottom"))
        return None if whole is None or top is None or not bottom else whole + top / bottom
    if parts["numerator"] is not None:
        numerator, denominator = _decimal(parts["numerator"]), _decimal(parts["denominator"])
        return None if numerator is None or not denominator else numerator / denominator
    if parts["mantissa"] is not None:
        mantissa, power = _decimal(parts["mantissa"]), parts["power"] or parts["exponent"]
        return None if mantissa is None or not _is_small(power) else mantissa * Fraction(10) ** int(power)
    if parts["base"] is not None:
        base, raised = _decimal(parts["base"]), parts["raised"]
        is_bounded = base is not None and _is_small(raised) and len(parts["base"]) * int(raised) <= _MOST_DIGITS
        return base ** int(raised) if is_bounded and base is not None else None
    return _decimal(parts["plain"])


def _is_small(exponent: str) -> bool:
    return len(exponent.lstrip("+-0")) <= 3


def _decimal(chunk: str) -> Fraction | None:
    """Return the value of digits with commas between thousands, a point, or a full hour."""
    chunk = chunk.rstrip(",:")
    if hour := _HOUR.fullmatch(chunk):
        return Fraction(int(hour[1]))
    match = _DECIMAL.fullmatch(chunk.removesuffix(".") if chunk.count(".") > 1 else chunk)
    if match is None:
        return None
    whole, tenths = match[1].replace(",", "").lstrip("0"), (match[2] or "").rstrip("0")
    if len(whole) + len(tenths) > _MOST_DIGITS:
        return None
    return Fraction(int(whole or "0")) + Fraction(int(tenths or "0"), 10 ** len(tenths))

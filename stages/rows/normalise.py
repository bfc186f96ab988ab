"""The key of a text: texts with equal keys are repeats of each other."""

import html
import re
import unicodedata
from functools import lru_cache

_LAST_MARK = 0x1EFFF  # above this code point, only variation selectors are marks
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # choose a glyph of the same character
_JOINERS = ("\u200c", "\u200d")
_TAGS = range(0xE0020, 0xE0080)  # letters inside the flags of England, Scotland, Wales
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–−﹣-", "-"))
_ARITHMETIC = "-*/^"  # kept beside a digit only: elsewhere these join words


def _mark_class() -> str:
    """Every combining mark, such as a vowel sign: `\\w` of Python matches no mark."""
    return "".join(
        character
        for code in range(0x300, _LAST_MARK + 1)
        if unicodedata.category(character := chr(code)).startswith("M")
        and code not in _VARIATION_SELECTORS
    )


_MARKS = _mark_class()
_MENTION_OR_URL = re.compile(rf"@[\w{_MARKS}]+|https?://\S+|www\.\S+", re.IGNORECASE)
# Most of a text: without a meaning, whatever the letters. One regular expression removes it fast.
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[\s.,!?'\"…;:()_#&*/@-]+(?=[^\W\d_])")
_BETWEEN_WORDS = re.compile(rf"(?:[^\w{_MARKS}]|_)+")


def normalised(text: str) -> str:
    """`text` without case, white space, punctuation, mentions, URLs and HTML entities.

    Vowel signs, emoji, signs of numbers, decimal points, and operators between operands stay. NFC and NFD
    of a text have the same key. A text that contains only punctuation is its own key.
    """
    try:
        plain = html.unescape(html.unescape(text))
    except ValueError:  # "&#" with more digits than Python converts to a number
        plain = text
    plain = _MENTION_OR_URL.sub(" ", unicodedata.normalize("NFC", plain)).strip()
    plain = _BETWEEN_LETTERS.sub("", plain)
    folded = _BETWEEN_WORDS.sub(_meaning_of_match, plain).casefold()
    return unicodedata.normalize("NFC", folded) or unicodedata.normalize("NFC", text.strip())


def _meaning_of_match(match: re.Match[str]) -> str:
    """The characters that a key keeps of the characters between two words."""
    text, start, end = match.string, match.start(), match.end()
    return _meaning(match[0], text[start - 1 : start], text[end : end + 1], text[end + 1 : end + 2])


@lru_cache(maxsize=100_000)
def _meaning(between: str, before: str, after: str, second: str) -> str:
    """The meaning of `between`, which stands between the characters `before` and `after`.

    `second`: the character behind `after`.
    """
    if between == " " and not (before.isdigit() and after.isdigit()):  # most words
        return ""
    if between in _JOINERS and before and unicodedata.combining(before) == 9:
        return between  # a joiner behind a virama changes the letter
    between = between.translate(_DASHES)
    core = "".join(character for character in between if not character.isspace())
    has_space = core != between
    if before.isdigit() and after.isdigit() and not has_space:
        return core  # 1.5, 1,5, 1:5, 1/5, 1-5
    is_even = between[0].isspace() == between[-1].isspace()
    if before and after and is_even and _is_operator(core, before.isdigit() or after.isdigit()):
        return core  # x < 3, a=b, x^2
    symbols = "".join(filter(_is_symbol, core))
    prefix = suffix = ""
    if before.isdigit() and core[:1] in ("%", "‰"):
        prefix = core[0]
    elif before and between[0] == "+":  # C++, A+, 5+
        prefix = between[: len(between) - len(between.lstrip("+"))]
    if after.isdigit():
        suffix = _sign(between, before, is_heart=after == "3" and not second.isdigit())
    meaning = prefix + symbols + suffix
    return meaning or (" " if before.isdigit() and after.isdigit() else "")


def _sign(between: str, before: str, is_heart: bool) -> str:
    """The sign and the decimal point that begin a number: `between` stands before its first digit."""
    point = "." if between.endswith(".") and not between.endswith("..") else ""
    rest = between[: len(between) - len(point)]
    if point and not rest and before:  # no.5
        return ""
    # A currency symbol may stand between sign and number.
    rest = "".join(character for character in rest if unicodedata.category(character) != "Sc")
    is_attached = rest == rest.rstrip()
    end = len(rest)
    while end and _is_sign(rest[end - 1]):
        end -= 1
    sign = "".join(rest[end:].split())
    if (before and rest.rstrip() == "-") or sign.startswith("--"):  # covid-19, a dash
        return point
    if sign == "<" and is_heart and is_attached and not point:  # <3
        return point
    return sign + point


def _is_sign(character: str) -> bool:
    return character.isspace() or character == "-" or unicodedata.category(character) == "Sm"


def _is_operator(core: str, beside_digit: bool) -> bool:
    if not core.strip("-"):  # a hyphen, a dash, or a sign that `_sign` reads
        return False
    return all(
        character in _ARITHMETIC
        if beside_digit and character in _ARITHMETIC
        else unicodedata.category(character) == "Sm" and (beside_digit or character not in "|~")
        for character in core
    )


def _is_symbol(character: str) -> bool:
    """Whether a character outside words has a meaning everywhere: an emoji, a symbol, a currency."""
    code = ord(character)
    return unicodedata.category(character) in ("So", "Sc") or code in _TAGS or code in _SKIN_TONES

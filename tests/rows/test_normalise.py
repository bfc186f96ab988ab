"""What rows.normalise promises: texts that differ only in spelling have equal keys, others do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows.normalise import normalised


@pytest.mark.parametrize(
    "text",
    [
        "what a day this is",
        "WHAT A DAY THIS IS",
        "  What a\tday\n this is ",
        "What a day, this is!!!",
        "What_a-day... (this) is",
        "@bob What a day @alice_1 this is",
        "What a day this is https://t.co/AbC?x=1 www.example.org/a",
        "What a day this is HTTP://T.CO/x",
        "What a day &amp; this is &lt;&gt; &quot;",
        "What a day &amp;amp; this is",
        "What&nbsp;a d&#97;y this is",
    ],
)
def test_texts_that_differ_only_in_spelling_have_equal_keys(text: str) -> None:
    assert normalised(text) == normalised("What a day this is")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("good", "not good"),
        ("1 of 2", "1 of 3"),
        ("bonjour", "bonjou"),
        ("été", "ete"),
        ("👍", "👎"),
        (":)", ":("),
        ("@bob", "@eve"),
    ],
)
def test_texts_with_different_content_have_different_keys(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@given(st.text(min_size=1).filter(str.strip))
def test_every_text_has_a_key_and_case_does_not_change_it(text: str) -> None:
    assert normalised(text)
    assert normalised(f" {text}\n") == normalised(text)

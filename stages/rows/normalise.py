"""The key of a text: texts with equal keys are repeats of each other."""

import html
import re

_MENTION_OR_URL = re.compile(r"@\w+|https?://\S+|www\.\S+", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """`text` without case, white space, punctuation, mentions, URLs and HTML entities.

    A text that contains nothing else, such as an emoji, is its own key.
    """
    try:
        plain = html.unescape(html.unescape(text))
    except ValueError:  # "&#" with more digits than Python converts to a number
        plain = text
    plain = _MENTION_OR_URL.sub(" ", plain)
    return _NOT_WORD.sub("", plain).casefold() or text.strip()

"""The exact match that decides whether an answer to a task is right."""


def is_exact(expected: str, generated: str) -> bool:
    """Whether `generated` is the expected answer.

    White space around the text and around each line, the length of white space between words, and one
    full stop at the end do not matter. Letter case and line breaks matter.
    """
    return _words_by_line(expected) == _words_by_line(generated)


def _words_by_line(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().removesuffix(".").strip().split("\n")]

"""What rows.decoding promises: text in the encoding that the settings name, or one that would fit."""

from runtime.errors import StudyError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.decoding import decoded

WESTERN = "Größe und Übermut, schöne Grüße – „toll“\nDas Café schließt früh, Öl fürs Rad\n"
POLISH = "Zażółć gęślą jaźń, proszę bardzo, dziękuję\nŻółw śpi w łóżku, książka jest ciężka\n"
RUSSIAN = "Это просто русский текст, довольно короткий.\nОчень хороший фильм, мне понравилось\n"
JAPANESE = "日本語のテキストです。映画はとても良かった。\nまた見たいと思います。\n"


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("so so,0\nça va,1\n", "cp1252", "cp1252"),
        ("it’s “so so” …\n", "cp1252", "cp1252"),
        (WESTERN, "cp1252", "cp1252"),
        (WESTERN * 50, "cp1252", "cp1252"),
        (POLISH * 3, "cp1250", "cp1250"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (JAPANESE, "shift_jis", "cp932"),
        (WESTERN, "utf-16", "utf-16"),
        (WESTERN, "utf-32", "utf-32"),
    ],
)
def test_a_message_names_an_encoding_that_reads_the_file(
    text: str, encoding: str, name: str
) -> None:
    content = text.encode(encoding)
    with pytest.raises(StudyError, match=rf"a\.csv: .*set reading\.encoding: {name} .*is right"):
        decoded(content, "a.csv", "utf-8")
    assert decoded(content, "a.csv", name) == text


def test_cp1252_is_introduced_as_what_people_call_latin_1() -> None:
    with pytest.raises(StudyError) as raised:
        decoded(b"text,label\nso so,0\n\xe7a va,1\n", "a.csv", "utf-8")
    assert str(raised.value) == (
        "a.csv: line 3 is not utf-8 (byte 0xe7): set reading.encoding: cp1252 (which many programs "
        "call latin-1 or ANSI) if 'ça va,1' is right, or convert the file to utf-8"
    )


def test_a_few_bad_lines_of_a_utf_8_file_are_no_other_encoding() -> None:
    content = WESTERN.encode() * 5 + b"cut \xf0\x9f\n" + "één\n".encode()
    with pytest.raises(
        StudyError, match=r"line 11 is not utf-8.*mend the lines that are not \(1\)"
    ):
        decoded(content, "a.csv", "utf-8")


def test_bytes_that_no_encoding_fits_get_the_general_remedy() -> None:
    with pytest.raises(
        StudyError, match=r"is not utf-8 .*: set reading\.encoding \(cp1252, utf-16"
    ):
        decoded(bytes(range(128, 256)) * 3, "a.csv", "utf-8")


@pytest.mark.parametrize("encoding", ["latin-1", "iso-8859-1", "ISO8859-15", "l1"])
def test_cp1252_read_as_latin_1_stops_with_the_line_and_cp1252(encoding: str) -> None:
    content = "text,label\nfine,0\nit’s so … “so”,1\n".encode("cp1252")
    with pytest.raises(StudyError) as raised:
        decoded(content, "a.csv", encoding)
    assert str(raised.value) == (
        f"a.csv: line 3, read as {encoding}, contains the control character U+0092, which no text has; "
        "the file is probably in cp1252, which many programs call latin-1 or ANSI: set reading.encoding: "
        "cp1252 ('it’s so … “so”,1')"
    )
    assert "it’s so … “so”" in decoded(content, "a.csv", "cp1252")


def test_controls_that_cp1252_does_not_have_either_ask_for_another_file() -> None:
    with pytest.raises(
        StudyError, match=r"U\+0081.*: convert the file to utf-8, because its bytes"
    ):
        decoded(b"a \x81 b", "a.csv", "latin-1")


def test_latin_1_without_controls_is_read() -> None:
    assert decoded("ça va ÿ".encode("latin-1"), "a.csv", "latin-1") == "ça va ÿ"


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.sampled_from(["utf-8", "latin-1", "cp1252", "utf-16", "ascii"]))
def test_any_bytes_are_text_or_refused(content: bytes, encoding: str) -> None:
    message = ""
    try:
        text = decoded(content, "a.csv", encoding)
    except StudyError as error:
        message = str(error)
    else:
        assert text == content.decode(encoding).removeprefix("\ufeff")
    assert not message or message.startswith("a.csv: ")

"""From the bytes of a text file to text, and which encoding fits where the settings name a wrong one."""

import codecs
import re

from runtime.errors import StudyError, shown

_MARKS = (  # the first bytes of a file, and the encoding that they mark; utf-32 begins as utf-16 does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_C1_CONTROL = re.compile("[\x80-\x9f]")
_NOT_ASCII = re.compile("[^\0-\x7f\ufffd]")  # U+FFFD replaces bytes that cannot be decoded
_SAMPLE = 2**15  # bytes that the search for an encoding reads
_COMMON = [  # encodings of files in use today: of rare ones, too many fit any short text
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp874", "cp932", "euc_jp", "cp949", "gb18030", "big5", "koi8_r", "mac_roman", "cp850"),
]
_FEW = 20  # bytes outside of ASCII: with fewer, charset-normalizer's statistics are guesses
_CP1252 = "which many programs call latin-1 or ANSI"


def decoded(content: bytes, name: str, encoding: str) -> str:
    """The text of a file, without a byte-order mark. `name`: the file's name in messages.

    Raises `StudyError` for bytes that are not in `encoding`, and for a file in cp1252 that is read as
    latin-1 or another ISO 8859: its quotation marks and dashes would become invisible characters.
    """
    remedy = "set reading.encoding (cp1252, utf-16, ...) or convert the file to utf-8"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = f"byte {content[error.start]:#04x}"
        remedy = _remedy(content, error.start) or remedy
        raise StudyError(f"{name}: line {line} is not {encoding} ({byte}): {remedy}") from None
    except UnicodeError as error:  # raised by encodings such as idna
        raise StudyError(f"{name}: is not {encoding} ({error}): {remedy}") from None
    if "\0\0" in (text[:4:2], text[1:4:2]):  # every second byte is NUL: probably utf-16
        raise StudyError(f"{name}: is not {encoding} but looks like utf-16 (NUL bytes): {remedy}")
    if codecs.lookup(encoding).name.startswith("iso8859"):
        _refuse_c1_controls(content, text, name, encoding)
    return text


def _refuse_c1_controls(content: bytes, text: str, name: str, encoding: str) -> None:
    """Raise `StudyError` if the text contains a character from U+0080 to U+009F."""
    control = _C1_CONTROL.search(text)
    if control is None:
        return
    place = control.start()  # ISO 8859 has one byte for a character
    line = text.count("\n", 0, place) + 1
    remedy = "convert the file to utf-8, because its bytes are in several encodings"
    if _decodes(content, "cp1252"):
        remedy = f"set reading.encoding: cp1252 ({_snippet(content, place, 'cp1252')})"
    raise StudyError(
        f"{name}: line {line}, read as {encoding}, contains the control character "
        f"U+{ord(control[0]):04X}, which no text has; the file is probably in cp1252, {_CP1252}: {remedy}"
    )


def _remedy(content: bytes, place: int) -> str | None:
    """How to read the file, with the encoding that fits the bytes; None if no encoding fits."""
    as_utf_8 = content.decode("utf-8", "replace")
    if len(_NOT_ASCII.findall(as_utf_8)) > as_utf_8.count("\ufffd"):
        n_lines = sum("\ufffd" in line for line in as_utf_8.split("\n"))
        return f"most of the file is utf-8: mend the lines that are not ({n_lines})"
    encoding = _fitting_encoding(content)
    if encoding is None:
        return None
    note = f" ({_CP1252})" if encoding == "cp1252" else ""
    snippet = _snippet(content, place, encoding)
    return f"set reading.encoding: {encoding}{note} if {snippet} is right, or convert the file to utf-8"


def _fitting_encoding(content: bytes) -> str | None:
    """The name of an encoding that decodes the whole file to plausible text, or None."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding if _decodes(content, encoding) else None
    sample = b"\n".join(line for line in content.split(b"\n") if not line.isascii())[:_SAMPLE]
    n_high = sum(byte > 127 for byte in sample)
    # In Western languages most bytes outside of ASCII stand alone, between letters of ASCII.
    is_western = len(re.findall(rb"[\x80-\xff]+", sample)) > 0.6 * n_high
    if is_western and n_high < _FEW and _decodes(content, "cp1252"):
        return "cp1252"
    # Imported here: only a file in an unexpected encoding needs the package.
    from charset_normalizer import from_bytes

    matches = [
        match
        for match in from_bytes(sample, cp_isolation=_COMMON)
        if _decodes(content, match.encoding)
    ]
    for match in matches:  # of encodings that fit equally well, cp1252 is by far the commonest
        is_as_good = match.chaos <= matches[0].chaos + 0.02
        names = match.could_be_from_charset
        if is_western and is_as_good and "cp1252" in names and _decodes(content, "cp1252"):
            return "cp1252"
    return matches[0].encoding.replace("_", "-") if matches else None


def _decodes(content: bytes, encoding: str) -> bool:
    """Whether `encoding` decodes the whole file, to a text without control characters of C1."""
    try:
        return _C1_CONTROL.search(content.decode(encoding)) is None
    except UnicodeError:
        return False


def _snippet(content: bytes, place: int, encoding: str) -> str:
    """The text around a byte of the file, as a message shows it."""
    start = content.rfind(b"\n", 0, place) + 1
    end = content.find(b"\n", place)
    line = content[start : len(content) if end < 0 else end]
    before = line[: place - start].decode(encoding, "replace")
    after = line[place - start :].decode(encoding, "replace")
    return shown((before[-25:] + after[:25]).strip())

"""Out-of-sample instructions and the checks that decide whether an answer follows them.

A check is a mapping `{kind: 'family:name', ...arguments}`, the kinds named as in IFEval
(Zhou et al. 2023, arXiv:2311.07911) where IFEval has them. Not in IFEval: `keywords:some_of`,
`length_constraints:number_lines`, `startend:first_word`, `detectable_content:number_questions`,
`detectable_content:json_fields`, `content:*`, and the relations "exactly" and "at most". What
counts as a word, a sentence, a keyword and JSON, borderline cases included, is written at
`_words`, `_sentences`, `_mentions` and `_json`.
"""

import inspect
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Keyword = Annotated[str, Field(pattern=r"^[^|*\s][^|]*(\|[^|*\s][^|]*)*$")]  # see _mentions
Keywords = Annotated[list[Keyword], Field(min_length=1)]
Relation = Literal["exactly", "at least", "at most", "less than"]

_RELATIONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "exactly": operator.eq,
    "at least": operator.ge,
    "at most": operator.le,
    "less than": operator.lt,
}
_LETTER: Final = r"[^\W_]"  # a letter or a digit of any script
_WORD: Final = re.compile(rf"{_LETTER}+(?:(?:['-]|(?<=\d)[.,](?=\d)){_LETTER}+)*")
_STOP: Final = re.compile(r"(?<![.!?…])(?P<mark>[.!?…]+)(?P<close>[\"'”\u2019)\]*_]*)(?=\s|$)")
_LIST_NUMBER: Final = re.compile(r"(?:^|\n)\s*\d+$")
_NEVER_LAST: Final = frozenset({"mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e"})
_RARELY_LAST: Final = frozenset({"etc", "approx", "inc", "ltd", "co", "jr", "sr"})


def _words(text: str) -> list[str]:
    """Words in lower case: runs of letters and digits; "don't", "well-known", "3.5" are one."""
    return _WORD.findall(text.casefold().replace("\u2019", "'"))


def _sentences(text: str) -> list[str]:
    """Sentences: text up to `.`, `!`, `?` or an ellipsis (a run counts once) before white space.

    A blank line also ends a sentence and a single line break does not; a last piece without a
    mark counts, a piece without a word does not. These marks end nothing: a dot inside a number or
    address ("3.5", "example.org"), after "Mr", "Dr", "e.g." and the like, after an initial
    ("J. Smith", but "I" ends), after a number that opens a line or sentence ("1. Apples"); and,
    only before a lower-case letter, an ellipsis ("well... maybe"), a mark in closing quotes
    ('"Stop!" he said') and the dot of "etc." or "p.m.". Known misses: "the U.S. Army" is cut and
    "How many? 42. Then go." has two, since 42 reads as a list number.
    """
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        start = 0
        for stop in _STOP.finditer(paragraph):
            if _ends(paragraph[start : stop.start()], stop, paragraph[stop.end() :].lstrip()):
                found.append(paragraph[start : stop.end()])
                start = stop.end()
        found.append(paragraph[start:])
    return [sentence.strip() for sentence in found if _words(sentence)]


def _ends(before: str, stop: re.Match[str], after: str) -> bool:
    """Whether a mark between `before` and `after` ends a sentence, by the rules of `_sentences`."""
    mark, goes_on = stop["mark"], after[:1].islower()
    if mark != ".":
        return not (goes_on and (stop["close"] or mark[-1] in ".…"))
    word = (before.split() or [""])[-1].lstrip("\"'“\u2018([")
    initial = len(word) == 1 and word.isupper() and word != "I"
    if initial or word.casefold() in _NEVER_LAST or _LIST_NUMBER.search(before):
        return False
    return not (goes_on and (stop["close"] or "." in word or word.casefold() in _RARELY_LAST))


def _mentions(keyword: str, text: str) -> bool:
    """Whether a keyword stands in the text as a whole word, in any case.

    "a|b" means either form and "snow*" any ending. Hyphens and underscores bound a word, so that
    "rain" is found in "rain-soaked" and "_rain_" but not in "rainy" or "train".
    """
    forms = re.escape(keyword)
    for written, meant in ((r"\|", "|"), (r"\*", f"{_LETTER}*"), (r"\ ", r"\s+")):
        forms = forms.replace(written, meant)
    pattern = rf"(?<!{_LETTER})(?:{forms})(?!{_LETTER})"
    return re.search(pattern, text.replace("\u2019", "'"), re.IGNORECASE) is not None


def _json(answer: str) -> Any:
    """The answer as JSON, without a ```json fence around it (as IFEval does), or ValueError.

    Text beside the JSON is an error, and so are NaN and Infinity, which RFC 8259 does not know.
    """
    bare = re.sub(r"^```(?:json)?|```$", "", answer.strip(), flags=re.IGNORECASE)

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(bare, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def existence(answer: str, *, keywords: Keywords) -> bool:
    """Every keyword is mentioned."""
    return all(_mentions(keyword, answer) for keyword in keywords)


def some_of(answer: str, *, keywords: Keywords, num_keywords: Count) -> bool:
    """At least so many different keywords are mentioned."""
    return sum(_mentions(keyword, answer) for keyword in keywords) >= num_keywords


def forbidden_words(answer: str, *, forbidden_words: Keywords) -> bool:
    """None of the words is mentioned."""
    return not any(_mentions(word, answer) for word in forbidden_words)


def number_sentences(answer: str, *, num_sentences: Count, relation: Relation) -> bool:
    """The number of sentences is as asked."""
    return _RELATIONS[relation](len(_sentences(answer)), num_sentences)


def number_words(answer: str, *, num_words: Count, relation: Relation) -> bool:
    """The number of words is as asked."""
    return _RELATIONS[relation](len(_words(answer)), num_words)


def number_lines(answer: str, *, num_lines: Count, relation: Relation) -> bool:
    """The number of lines is as asked; a line without a word, such as a blank one, is none."""
    return _RELATIONS[relation](sum(bool(_words(n)) for n in answer.splitlines()), num_lines)


def number_questions(answer: str, *, num_questions: Count, relation: Relation) -> bool:
    """The number of different sentences that end in a question mark is as asked."""
    asked = [s for s in _sentences(answer) if "?" in re.split(r"[\w\s]", s)[-1]]
    different = {tuple(_words(re.sub(r"^\W*\d+[.)]\s", "", question))) for question in asked}
    return _RELATIONS[relation](len(different), num_questions)


def number_bullet_lists(answer: str, *, num_bullets: Count) -> bool:
    """Exactly so many lines open with `-`, `*` or `•`, a space and some word (not `1.`, `-x`)."""
    lines = (line.split(maxsplit=1) for line in answer.splitlines())
    bullets = [n for n in lines if len(n) == 2 and n[0] in {"-", "*", "•"} and _words(n[1])]
    return len(bullets) == num_bullets


def json_format(answer: str) -> bool:
    """The whole answer is JSON of any type; a ```json fence around it is allowed."""
    try:
        _json(answer)
    except ValueError:
        return False
    return True


def json_fields(answer: str, *, fields: dict[str, str | int]) -> bool:
    """A JSON object has these keys and no others, with these values; 34 and "34" are equal."""
    try:
        found = _json(answer)
    except ValueError:
        return False
    return (
        isinstance(found, dict)
        and found.keys() == fields.keys()
        and all(isinstance(value, str | int) for value in found.values())
        and all(str(found[k]).strip().casefold() == str(fields[k]).casefold() for k in fields)
    )


def english_capital(answer: str) -> bool:
    """There is a letter, and no letter is lower case (IFEval also asks for English)."""
    return answer.isupper()


def quotation(answer: str) -> bool:
    """Double quotation marks, straight as in IFEval or a curly pair, wrap the whole answer."""
    bare = answer.strip()
    return bare[:1] + bare[-1:] in {'""', "“”"} and bool(_words(bare))


def first_word(answer: str, *, words: Annotated[list[Text], Field(min_length=1)]) -> bool:
    """The first word is one of these, in any case; marks around it do not matter."""
    return _words(answer)[:1] in [[word.casefold()] for word in words]


def same_words_as_input(answer: str, *, input: str) -> bool:
    """The answer has the words of the input in their order; case and punctuation are free."""
    return _words(answer) == _words(input) != []


def not_an_echo(answer: str, *, instruction: str, input: str, max_copied: Share = 0.8) -> bool:
    """At most this share of the words stands in triples copied from instruction and input.

    An answer of one or two words is taken as one run: it may not stand in either of them.
    """
    said, asked = _words(answer), _words(f"{instruction}\n{input}")
    size = min(3, len(said))
    known = {tuple(asked[i : i + size]) for i in range(len(asked))}
    starts = [i for i in range(len(said) - size + 1) if tuple(said[i : i + size]) in known]
    copied = {i + step for i in starts for step in range(size)}
    return bool(said) and len(copied) <= max_copied * len(said)


def not_repetitive(answer: str, *, min_distinct: Share = 0.4) -> bool:
    """There are two different words or more, and at least this share of the words is different."""
    said = _words(answer)
    return len(set(said)) >= max(2, min_distinct * len(said))


CHECKS: Final[Mapping[str, Callable[..., bool]]] = {
    "keywords:existence": existence,
    "keywords:some_of": some_of,
    "keywords:forbidden_words": forbidden_words,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_words": number_words,
    "length_constraints:number_lines": number_lines,
    "detectable_content:number_questions": number_questions,
    "detectable_content:json_fields": json_fields,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:json_format": json_format,
    "change_case:english_capital": english_capital,
    "startend:quotation": quotation,
    "startend:first_word": first_word,
    "content:same_words_as_input": same_words_as_input,
    "content:not_an_echo": not_an_echo,
    "content:not_repetitive": not_repetitive,
}
_CONTEXT: Final = ("instruction", "input")  # what a check may ask for beside its arguments


class CheckedInstruction(BaseModel):
    """What is asked, the checks that decide, and an answer that passes them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    instruction: Text
    input: str
    checks: Annotated[list[dict[str, Any]], Field(min_length=1)]
    gold: Text


def passes(check: Mapping[str, Any], answer: str, instruction: str = "", input: str = "") -> bool:
    """Whether an answer passes one check; ValueError where the check itself is wrong."""
    function, arguments = _bind(check)
    context = {"instruction": instruction, "input": input}
    asked_for = inspect.get_annotations(function).keys() & context.keys()
    return function(answer, **arguments, **{name: context[name] for name in asked_for})


def results(entry: CheckedInstruction, answer: str) -> list[tuple[str, bool]]:
    """Each check of an instruction by its kind, in order, and whether the answer passes it."""
    return [
        (check["kind"], passes(check, answer, entry.instruction, entry.input))
        for check in entry.checks
    ]


def followed(entry: CheckedInstruction, answer: str) -> bool:
    """Whether an answer follows an instruction: it passes all of its checks."""
    return all(passed for _, passed in results(entry, answer))


def load_ten(path: Path) -> list[CheckedInstruction]:
    """The instructions of a yaml file; ValueError names the file, the id and what is allowed."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not yaml: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path}: a list of instructions is expected")
    entries = [_entry(path, number, row) for number, row in enumerate(rows, start=1)]
    twice = [name for name, count in Counter(entry.id for entry in entries).items() if count > 1]
    if twice:
        raise ValueError(f"{path}: ids must be unique, more than once: {', '.join(twice)}")
    return entries


def _entry(path: Path, number: int, row: Any) -> CheckedInstruction:
    """One row of the file as an instruction whose checks are known to be callable."""
    name = row.get("id", f"number {number}") if isinstance(row, dict) else f"number {number}"
    try:
        entry = CheckedInstruction.model_validate(row)
        for check in entry.checks:
            _bind(check)
    except ValidationError as error:
        allowed = ", ".join(CheckedInstruction.model_fields)
        raise ValueError(
            f"{path}: instruction {name!r}: {_told(error)}; its fields are {allowed}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: instruction {name!r}: {error}") from error
    return entry


def _bind(check: Mapping[str, Any]) -> tuple[Callable[..., bool], dict[str, Any]]:
    """A check's function and its arguments, or ValueError that says what is allowed."""
    kind = check.get("kind")
    if not isinstance(kind, str) or kind not in CHECKS:
        raise ValueError(f"check {kind!r}: unknown kind; allowed are {', '.join(sorted(CHECKS))}")
    arguments = {name: value for name, value in check.items() if name != "kind"}
    model = _arguments(kind)
    try:
        model.model_validate(arguments)
    except ValidationError as error:
        allowed = ", ".join(model.model_fields) or "none"
        raise ValueError(f"check {kind!r}: {_told(error)}; its arguments are {allowed}") from error
    return CHECKS[kind], arguments


@cache
def _arguments(kind: str) -> type[BaseModel]:
    """The arguments that a kind of check takes, read off the signature of its function."""
    hints = get_type_hints(CHECKS[kind], include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if p.default is p.empty else p.default)
        for name, p in inspect.signature(CHECKS[kind]).parameters.items()
        if p.kind is p.KEYWORD_ONLY and name not in _CONTEXT
    }
    return create_model(kind, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _told(error: ValidationError) -> str:
    """What pydantic found, on one line."""
    found = ((".".join(map(str, e["loc"])) or "entry", e["msg"]) for e in error.errors())
    return ", ".join(f"{where}: {what}" for where, what in found)

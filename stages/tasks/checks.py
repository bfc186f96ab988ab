"""The checks that decide whether an answer follows an instruction.

A check is a mapping `{kind: 'family:name', ...arguments}`. The kinds have the names of IFEval
(Zhou et al. 2023, arXiv:2311.07911) if IFEval has them. Not in IFEval: `keywords:some_of`,
`length_constraints:number_lines`, `startend:first_word`, `detectable_content:number_questions`,
`detectable_content:json_fields`, `content:*`, and the relations "exactly" and "at most".
`_words`, `_sentences`, `_mentions` and `_json` define a word, a sentence, a keyword and JSON.
"""

import inspect
import json
import operator
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Annotated, Any, Final, Literal, get_type_hints

from runtime.errors import shown

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError


def _keyword(text: str) -> str:
    """A keyword that `_mentions` can search for; no form of it is empty or only an ending."""
    if not re.fullmatch(r"[^|*\s][^|]*(\|[^|*\s][^|]*)*", text):
        raise PydanticCustomError(
            "keyword", "every form, with | between forms, must begin with a letter or a digit"
        )
    return text


Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Keyword = Annotated[str, AfterValidator(_keyword)]
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
    """Words in lower case: runs of letters and digits; "don't", "well-known", "3.5" are one word."""
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
    sentences = []
    for paragraph in re.split(r"\n\s*\n", text):
        start = 0
        for stop in _STOP.finditer(paragraph):
            if _ends(paragraph[start : stop.start()], stop, paragraph[stop.end() :].lstrip()):
                sentences.append(paragraph[start : stop.end()])
                start = stop.end()
        sentences.append(paragraph[start:])
    return [sentence.strip() for sentence in sentences if _words(sentence)]


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
    """Whether a keyword occurs in the text as a whole word, in any case.

    "a|b" means either form and "snow*" any ending. Hyphens and underscores end a word: "rain"
    occurs in "rain-soaked" and "_rain_" but not in "rainy" or "train".
    """
    return _keyword_pattern(keyword).search(text.replace("\u2019", "'")) is not None


@lru_cache(maxsize=4096)
def _keyword_pattern(keyword: str) -> re.Pattern[str]:
    forms = re.escape(keyword)
    for written, meant in ((r"\|", "|"), (r"\*", f"{_LETTER}*"), (r"\ ", r"\s+")):
        forms = forms.replace(written, meant)
    return re.compile(rf"(?<!{_LETTER})(?:{forms})(?!{_LETTER})", re.IGNORECASE)


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
    """The number of lines is as asked; a line without a word, such as a blank line, does not count."""
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
        content = _json(answer)
    except ValueError:
        return False
    return (
        isinstance(content, dict)
        and content.keys() == fields.keys()
        and all(isinstance(value, str | int) for value in content.values())
        and all(str(content[k]).strip().casefold() == str(fields[k]).casefold() for k in fields)
    )


def english_capital(answer: str) -> bool:
    """The answer has a letter, and no letter is lower case (IFEval also asks for English)."""
    return answer.isupper()


def quotation(answer: str) -> bool:
    """Double quotation marks, straight as in IFEval or a curly pair, wrap the whole answer."""
    bare = answer.strip()
    return bare[:1] + bare[-1:] in {'""', "“”"} and bool(_words(bare))


def first_word(answer: str, *, words: Annotated[list[Text], Field(min_length=1)]) -> bool:
    """The first word is one of these, in any case; marks around the word do not matter."""
    return _words(answer)[:1] in [[word.casefold()] for word in words]


def same_words_as_input(answer: str, *, input: str) -> bool:
    """The answer has the words of the input in their order; case and punctuation are free."""
    return _words(answer) == _words(input) != []


def not_an_echo(answer: str, *, instruction: str, input: str, max_copied: Share = 0.8) -> bool:
    """At most this share of the words is in triples copied from the instruction and the input.

    An answer of one or two words counts as one run, which may not be in the prompt at all.
    """
    words, prompt = _words(answer), _words(f"{instruction}\n{input}")
    size = min(3, len(words))
    known = {tuple(prompt[i : i + size]) for i in range(len(prompt))}
    starts = [i for i in range(len(words) - size + 1) if tuple(words[i : i + size]) in known]
    copied = {i + step for i in starts for step in range(size)}
    return bool(words) and len(copied) <= max_copied * len(words)


def not_repetitive(answer: str, *, min_distinct: Share = 0.4) -> bool:
    """At least two words are different, and at least this share of the words is different."""
    words = _words(answer)
    return len(set(words)) >= max(2, min_distinct * len(words))


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
_CONTEXT: Final = ("instruction", "input")  # arguments that `passes` fills in
_MOST_FAULTS: Final = 5  # that one message lists


def passes(check: Mapping[str, Any], answer: str, instruction: str = "", input: str = "") -> bool:
    """Whether an answer passes one check. Raises ValueError if the check itself is wrong."""
    function, arguments = bind(check)
    context = {"instruction": instruction, "input": input}
    wanted = inspect.get_annotations(function).keys() & context.keys()
    return function(answer, **arguments, **{name: context[name] for name in wanted})


def bind(check: Mapping[str, Any]) -> tuple[Callable[..., bool], dict[str, Any]]:
    """The function and the arguments of a check. Raises ValueError that lists what is allowed."""
    kind = check.get("kind")
    if not isinstance(kind, str) or kind not in CHECKS:
        allowed = ", ".join(sorted(CHECKS))
        raise ValueError(f"check {shown(kind)}: unknown kind; allowed are {allowed}")
    arguments = {name: value for name, value in check.items() if name != "kind"}
    model = _arguments(kind)
    try:
        model.model_validate(arguments)
    except ValidationError as error:
        allowed = ", ".join(model.model_fields) or "none"
        raise ValueError(f"check {kind!r}: {faults(error)}; its arguments are {allowed}") from error
    return CHECKS[kind], arguments


@cache
def _arguments(kind: str) -> type[BaseModel]:
    """The arguments that a kind of check takes, from the signature of its function."""
    hints = get_type_hints(CHECKS[kind], include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if p.default is p.empty else p.default)
        for name, p in inspect.signature(CHECKS[kind]).parameters.items()
        if p.kind is p.KEYWORD_ONLY and name not in _CONTEXT
    }
    return create_model(kind, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def faults(error: ValidationError) -> str:
    """The faults that pydantic reports, on one line: `key = value: message`, at most five."""
    errors = error.errors(include_url=False)
    messages = []
    for fault in errors[:_MOST_FAULTS]:
        value = "" if fault["type"] == "missing" else f" = {shown(fault['input'])}"
        messages.append(f"{'.'.join(map(str, fault['loc']))}{value}: {fault['msg']}")
    if len(errors) > _MOST_FAULTS:
        messages.append(f"and {len(errors) - _MOST_FAULTS} more")
    return ", ".join(messages)

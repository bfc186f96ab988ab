"""Templates that are no templates, that reach out, that never end, or that lose what they are for."""

from typing import Any

import pytest
import yaml

GOOD = {"id": "one", "instruction": "Is it {{ labels }}?", "input": "{{ text }}"}
ALONE = "input: may contain only text and {{ labels }}, {{ text }}"

# name, what is different in the template, what the message must say after file and template
STOPS: list[tuple[str, dict[str, object], str]] = [
    (
        "the row dropped",
        {"input": "{{ labels }}"},
        "the row's text is missing: write {{ text }} in",
    ),
    ("the row as text", {"input": "{% raw %}{{ text }}{% endraw %}"}, "the row's text is missing"),
    ("the row in a comment", {"input": "{# {{ text }} #}"}, "the row's text is missing"),
    ("no instruction", {"instruction": " \n"}, "the instruction is blank"),
    ("a loop", {"input": "{% for x in range(10**9) %}{{ text }}{% endfor %}"}, ALONE),
    (
        "loops in loops",
        {"input": "{% for a in text %}{% for b in text %}x{% endfor %}{% endfor %}"},
        ALONE,
    ),
    ("memory", {"input": "{{ text * 10**9 }}"}, ALONE),
    ("more memory", {"input": "{{ 'x' * 10**10 }}{{ text }}"}, ALONE),
    ("a huge power", {"input": "{{ 9**9**9 }}{{ text }}"}, ALONE),
    ("a range", {"input": "{{ range(10**9) }}{{ text }}"}, ALONE),
    ("a list", {"input": "{{ range(10**9) | list }}{{ text }}"}, ALONE),
    ("wide", {"input": "{{ '%1000000000d' % 1 }}{{ text }}"}, ALONE),
    ("lorem ipsum", {"input": "{{ lipsum(n=10**6) }}{{ text }}"}, ALONE),
    ("a macro in itself", {"input": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"}, ALONE),
    ("a cycle", {"input": "{{ cycler(1, 2) }}{{ text }}"}, ALONE),
    ("an attribute", {"input": "{{ text.__class__.__mro__ }}"}, ALONE),
    ("an item", {"input": "{{ text['__class__'] }}"}, ALONE),
    ("a filter's attribute", {"input": "{{ text | attr('__class__') }}"}, ALONE),
    ("globals", {"input": "{{ lipsum.__globals__['os'].getcwd() }}{{ text }}"}, ALONE),
    ("the template itself", {"input": "{{ self }}{{ text }}"}, ALONE),
    ("another file", {"input": "{% include '/etc/passwd' %}{{ text }}"}, ALONE),
    ("an import", {"input": "{% import 'os' as os %}{{ text }}"}, ALONE),
    ("a parent", {"input": "{% extends 'x' %}{{ text }}"}, ALONE),
    ("an extension", {"input": "{% do text %}"}, "input: not a valid template: "),
    ("a condition", {"input": "{{ text if labels else text }}"}, ALONE),
    ("an unknown name", {"input": "{{ txt }}"}, ALONE),
    ("the answer told", {"instruction": "{{ label }}?"}, "instruction: may contain only text and"),
    (
        "the row in the answer",
        {"completion": "{{ text }}"},
        "completion: may contain only text and {{ label",
    ),
    ("left open", {"input": "{{ text"}, "input: not a valid template: "),
    ("closed twice", {"input": "{{ text }}{% endfor %}"}, "input: not a valid template: "),
    ("deep", {"input": "{{ " + "(" * 5000 + "text" + ")" * 5000 + " }}"}, "nested too deeply"),
    ("too many digits", {"input": "{{ " + "9" * 5000 + " }}"}, "input: not a valid template: "),
    ("a long fault", {"input": "{{ x }}" * 10**4}, ALONE),
    ("labels alike", {"completion": "yes"}, "completion: positive cannot be read back from 'yes'"),
    ("no answer", {"completion": ""}, "completion: negative cannot be read back from ''"),
    (
        "a blank after",
        {"completion": "{{ label }} "},
        "completion: 'negative ' begins or ends with",
    ),
    ("a number", {"instruction": 5}, "instruction = 5: Input should be a valid string"),
    ("a mapping", {"input": {"text": None}}, "input = {'text': None}: Input should be a valid"),
    (
        "held out perhaps",
        {"held_out": "perhaps"},
        "held_out = 'perhaps': Input should be a valid b",
    ),
    ("another key", {"output": "{{ label }}"}, "output = '{{ label }}': Extra inputs are not"),
    ("all held out", {"held_out": True}, "every template is held_out"),
]


@pytest.mark.parametrize(
    ("changes", "part"), [case[1:] for case in STOPS], ids=[case[0] for case in STOPS]
)
def test_a_bad_template_stops_and_is_told_of(
    ran: Any, changes: dict[str, object], part: str
) -> None:
    pool = {"templates": [GOOD | changes]}
    path = ran.folder / "templates/sentiment.yaml"
    path.write_text(yaml.safe_dump(pool, allow_unicode=True), encoding="utf-8")
    message = ran.stopped("instructify")
    assert message.startswith("templates/sentiment.yaml: ")
    assert ("template one: " in message) == ("every" not in message)
    assert part in message


# name, what stands in the file, what the message must say after the file's name
NO_POOLS: list[tuple[str, str, str]] = [
    ("another thing", "wordings: []", "must contain a list under templates:"),
    ("a list", "- {id: a}", "must contain a list under templates:"),
    ("none", "templates: []", "must contain a list under templates:"),
    ("one that is none", "templates: [5]", "template 1: "),
    (
        "an id twice",
        'templates: [&a {id: a, instruction: "{{ text }}"}, *a]',
        "the id a occurs twice",
    ),
    (
        "a number as id",
        'templates: [{id: 5, instruction: "{{ text }}"}]',
        "template 5: id = 5: Input",
    ),
    ("no id", 'templates: [{id: "", instruction: "{{ text }}"}]', "template '': id = ''"),
    ("half a character", 'templates: [{id: a, instruction: "\\ud83d {{ text }}"}]', "surrogate"),
    ("a NUL", 'templates: [{id: a, instruction: "\\0text\\0"}]', "contains a NUL"),
    ("unquoted", "templates: [{id: a, instruction: {{ text }}}]", "unhashable key (line 1"),
]


@pytest.mark.parametrize(
    ("text", "part"), [case[1:] for case in NO_POOLS], ids=[case[0] for case in NO_POOLS]
)
def test_what_is_no_pool_stops_and_is_told_of(ran: Any, text: str, part: str) -> None:
    (ran.folder / "templates/sentiment.yaml").write_text(text, encoding="utf-8")
    message = ran.stopped("instructify")
    assert message.startswith("templates/sentiment.yaml: ")
    assert part in message


def test_labels_that_are_nothing_but_marks_name_no_answer(ran: Any) -> None:
    ran.set({"labels": {"names": ["''", "positive"], "positive": "positive"}})
    ran.set({"sources.labelled.label_values": {0: "''", 4: "positive"}})
    message = ran.stopped("instructify")
    assert "completion: '' cannot be read back from \"''\"" in message

"""Filter patterns, against the examples of AWS's page and against a second evaluation of random expressions."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.filter_patterns import BadPattern, BadSelector, parse
from local_sagemaker.filter_patterns.expressions import DEEPEST

TRAIL = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "ThisFlag": True,
        "cluster.name": "c",
        "latency": 55.5,
        "errorCode": 400,
        "numbers": [1000],
    }
)
USERS = json.dumps(
    {
        "user": {"id": 1, "email": "John.Stiles@example.com"},
        "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
        "actions": ["GET", "PUT", "DELETE"],
        "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
    }
)
APACHE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


def matches(pattern: str, message: str) -> bool:
    return parse(pattern).match(message) is not None


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "Exiting with ERRORCODE: -1", True),
        ("ERROR", "[error 400]", False),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", False),
        ("?ERROR ?ARGUMENTS", "[INFO] ARGUMENTS", True),
        ("?ERROR ?ARGUMENTS", "[INFO] nothing", False),
        ("?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED", True),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL ERROR SERVER", False),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", False),
        ('ERROR -"BAD REQUEST"', "[ERROR 400] BAD REQUEST", False),
        ("-INFO", "[ERROR]", True),
        (r'"say \"no\""', 'they say "no"', True),
        ('" "', "anything", True),
        ("", "", True),
        ("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("%^AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", False),
        (r"%5[0-9]{2}|\x28%", "status 503", True),
    ],
)
def test_terms(pattern: str, message: str, expected: bool) -> None:
    assert matches(pattern, message) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{$.eventType=UpdateTrail}", True),
        ("{ $.eventType = %Trail% }", True),
        ("{ $.eventType = *Trail }", True),
        ("{ $.eventType = Update* }", True),
        ('{ $.eventType = "*date*" }', True),
        ("{ $.eventType = Up*Trail }", False),  # an asterisk inside stands for itself
        ("{ $.eventType = * }", True),
        ('{ $.eventType = "*" }', True),
        ("{ $.other = * }", False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress != 111.111.* }", False),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[7] = "value" }', False),
        ("{ $.arrayKey[*] = %val.{2}% }", True),
        (r"{ $.* = %111\.111\.111\.1[0-9]{1,2}% }", True),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[*].id >= 2 }", True),
        ("{ $.objectList[*].id > 2 }", False),
        ("{ $.['cluster.name'] = \"c\" }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.missing IS NULL }", False),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.SomeObject NOT EXISTS }", False),
        ("{ $.latency >= 55.5 }", True),
        ("{ $.latency < 50 }", False),
        ("{ $.errorCode = 400 }", True),
        ("{ $.errorCode = 4e2 }", True),
        ("{ $.errorCode = 4* }", True),
        ("{ $.errorCode != 500 }", True),
        ("{ $.numbers[0] = 1e+3 }", True),
        ("{ $.numbers[0] != 1e-3 }", True),
        ("{ $.latency > +1000 }", False),
        # a selector that leads to a list, to true or to nothing fits no comparison
        ("{ $.numbers = 1 }", False),
        ("{ $.numbers != 1 }", False),
        ("{ $.ThisFlag != 1 }", False),
        ("{ $.missing != 1 }", False),
        ("{ $.eventType > 5 }", False),
    ],
)
def test_json(pattern: str, expected: bool) -> None:
    assert matches(pattern, TRAIL) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', False),
        (
            '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }',
            True,
        ),
        (
            '{($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nomatch}',
            False,
        ),
    ],
)
def test_compound_json(pattern: str, expected: bool) -> None:
    assert matches(pattern, USERS) is expected


@pytest.mark.parametrize(
    "message", ["", "text", "[1]", "{", "{} trailing", '{"a": NaN}', "[" * 100_000, '{"a":' * 100_000]
)
def test_what_is_no_json_object_does_not_match(message: str) -> None:
    assert not matches("{ $.a NOT EXISTS }", message)


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("[ip, server, user, timestamp, request, status, bytes]", APACHE, True),
        (
            "[ip=%127\\.0\\.0\\.[1-9]%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
            APACHE,
            True,
        ),
        ("[..., request =*.html*, status_code = 4*, bytes]", APACHE, True),
        ("[..., status_code = 4*,]", APACHE, True),
        ("[..., status_code, bytes > 1000]", APACHE, True),
        ("[..., status_code, bytes > 2000]", APACHE, False),
        ("[ip, user, username, timestamp, request, s = 404 || s = 410, bytes]", APACHE, True),
        ("[ip, user, username, timestamp, request, s = 4* && s != 404, bytes]", APACHE, False),
        ("[ip, user, username, timestamp, request, (s = 4* || s = 5*) && s != 403, bytes]", APACHE, True),
        ("[ip, user, ...]", APACHE, True),
        ("[...]", "", True),
        ("[a, b, c, d, e, f, g, h]", APACHE, False),
        ("[w1=ERROR, w2]", "ERROR 09/25/2014 12:00:02 Failed to process request", True),
        ("[w1=ERROR, w2]", "WARNING 09/25/2014 12:00:02 Invalid user request", False),
        ("[w1=ERROR, w2]", "ERROR", False),
        ("[w1=ERROR || w1=WARNING, w2]", "WARNING 09/25/2014 x", True),
        ("[w1!=ERROR && w1!=WARNING, w2]", "WARNING 09/25/2014 x", False),
        (
            "[level, date, time, method, url=%/service/resource/[0-9]+$%, response_time]",
            "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200",
            True,
        ),
    ],
)
def test_fields(pattern: str, message: str, expected: bool) -> None:
    assert matches(pattern, message) is expected


def test_what_fields_are_extracted() -> None:
    match = parse("[..., request=*.html*, status_code=4*,]").match(APACHE)
    assert match is not None
    assert match.extracted == {
        "$1": "127.0.0.1", "$2": "Prod", "$3": "frank", "$4": "10/Oct/2000:13:25:15 -0700",
        "$request": "GET /index.html HTTP/1.0", "$status_code": "404", "$7": "1534",
    }  # fmt: skip
    match = parse("[level, text]").match('WARN a "b c" [d]')
    assert match is not None and match.extracted == {"$level": "WARN", "$text": 'a "b c" [d]'}


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("foo-bar", 'Invalid character\\(s\\) in term "foo-bar"'),
        ('"open', "has no partner"),
        ("{ $.a }", "one of .* is expected"),
        ("{ $.a = }", "a value is expected"),
        ("{ $.a = 1", "'}' is expected"),
        ("{ $.a = 1 } x", "nothing more is expected"),
        ("{ $.a = 1 && }", "'\\$' is expected"),
        ("{ $ = 1 }", "a property selector such as"),
        ("{ $.a > x }", "a number is expected after >"),
        ("{ $.a EXISTS }", "EXISTS is not supported by CloudWatch Logs"),
        ("{ $.a IS NOT NULL }", "IS NOT is not supported by CloudWatch Logs"),
        ("{ $.*.* = 1 }", "one wildcard"),
        ("{ $.*=1 || $.*=2 || $.*=3 || $.*=4 }", "more than 3 wildcard selectors"),
        ("{ $.a = %(x)% }", "'\\(' is not supported in a regular expression"),
        ("{ $.a = %[%  }", "is no regular expression"),
        ("%é%", "not supported in a regular expression"),
        ("[a, ..., b, ...]", "one ellipsis"),
        ("[a, a]", "named twice"),
        ("[a = 1 && b = 2]", "one field is called a and b"),
        ("[a", "is expected"),
    ],
)
def test_what_is_no_pattern(pattern: str, words: str) -> None:
    with pytest.raises(BadPattern, match=words):
        parse(pattern)


def test_parentheses_are_as_deep_as_may_be() -> None:
    def nested(depth: int) -> str:
        return "{" + "(" * depth + "$.a = 1" + ")" * depth + "}"

    assert matches(nested(DEEPEST), '{"a": 1}')
    with pytest.raises(BadPattern, match="parentheses"):
        parse(nested(DEEPEST + 1))


def test_selectors_are_checked() -> None:
    parse("{ $.a = 1 }").check_selector("$.b[0].c")
    parse("[a, ...]").check_selector("$a")
    for pattern, selector in (("{ $.a = 1 }", "$a"), ("{ $.a = 1 }", "$.a = 1"), ("[a]", "$b"), ("word", "$.a")):
        with pytest.raises(BadSelector):
            parse(pattern).check_selector(selector)


@given(st.text(alphabet='{}[]()$.%"*&|=<>!?-, \\abAB01ISNULOTEX…', max_size=60), st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused(pattern: str, message: str) -> None:
    try:
        parsed = parse(pattern)
    except BadPattern:
        return
    parsed.match(message)


# --- a second evaluation ----------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "c-d", "e_f"])
_VALUES = st.one_of(
    st.integers(-5, 5), st.sampled_from([0.5, -1.25, 1e3]), st.sampled_from(["x", "5", "yes please", "", "a.b"]),
    st.booleans(), st.none(), st.just([1]), st.just({"g": 1}),
)  # fmt: skip
_EVENTS = st.dictionaries(_NAMES, _VALUES, max_size=4)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
Rule = tuple[str, Callable[[dict[str, Any]], bool]]


def _number(name: str, sign: str, wanted: float) -> Rule:
    def holds(event: dict[str, Any]) -> bool:
        found = event.get(name)
        if isinstance(found, str):
            return sign in ("=", "!=") and _SIGNS[sign](found, str(wanted))
        return isinstance(found, (int, float)) and not isinstance(found, bool) and _SIGNS[sign](found, wanted)

    return f"$.{name} {sign} {wanted}", holds


def _text(name: str, sign: str, wanted: str) -> Rule:
    def holds(event: dict[str, Any]) -> bool:
        found = event.get(name)
        if isinstance(found, bool) or not isinstance(found, (str, int, float)):
            return False
        shown = found if isinstance(found, str) else f"{found:g}"
        return _SIGNS[sign](shown, wanted)

    return f'$.{name} {sign} "{wanted}"', holds


_LEAVES: st.SearchStrategy[Rule] = st.one_of(
    st.builds(_number, _NAMES, st.sampled_from(list(_SIGNS)), st.integers(-5, 5)),
    st.builds(_text, _NAMES, st.sampled_from(["=", "!="]), st.sampled_from(["x", "5", "yes please", "a.b"])),
    _NAMES.map(lambda name: (f"$.{name} NOT EXISTS", lambda event: name not in event)),
    _NAMES.map(lambda name: (f"$.{name} IS NULL", lambda event: name in event and event[name] is None)),
    _NAMES.map(lambda name: (f"$.{name} IS TRUE", lambda event: event.get(name) is True)),
)


def _join(sign: str, rules: list[Rule]) -> Rule:
    decide = all if sign == "&&" else any
    return f" {sign} ".join(f"({text})" for text, _ in rules), lambda event: decide(rule(event) for _, rule in rules)


_RULES = st.recursive(
    _LEAVES, lambda inner: st.builds(_join, st.sampled_from(["&&", "||"]), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=8,
)  # fmt: skip


@given(_RULES, _EVENTS)
def test_expressions_say_what_python_says(rule: Rule, event: dict[str, Any]) -> None:
    text, holds = rule
    assert matches(f"{{ {text} }}", json.dumps(event)) is holds(event)


@given(st.lists(st.tuples(st.sampled_from(["&&", "||"]), _LEAVES), min_size=1, max_size=6), _EVENTS)
def test_and_binds_stronger_than_or(terms: list[tuple[str, Rule]], event: dict[str, Any]) -> None:
    text = terms[0][1][0] + "".join(f" {sign} {rule[0]}" for sign, rule in terms[1:])
    groups: list[list[bool]] = [[]]
    for number, (sign, (_, holds)) in enumerate(terms):
        if number and sign == "||":
            groups.append([])
        groups[-1].append(holds(event))
    assert matches(f"{{{text}}}", json.dumps(event)) is any(all(group) for group in groups)


_WORDS = st.lists(st.text(st.sampled_from("abcXYZ0189.:/-"), min_size=1, max_size=8), min_size=1, max_size=6)


@given(_WORDS, st.data())
def test_every_word_finds_its_field(words: list[str], data: st.DataObject) -> None:
    quoted = [data.draw(st.sampled_from(["{}", '"{} {}"', "[{} {}]"])).replace("{}", word) for word in words]
    plain = [text.strip('"[]') for text in quoted]
    names = [f"w{number}" for number in range(len(words))]
    match = parse(f"[{', '.join(names)}]").match(" ".join(quoted))
    assert match is not None
    assert match.extracted == {f"${name}": text for name, text in zip(names, plain, strict=True)}
    hidden = data.draw(st.integers(0, len(words) - 1))
    match = parse(f"[..., {', '.join(names[hidden:])}]").match(" ".join(quoted))
    assert match is not None
    assert [match.value(f"${name}") for name in names[hidden:]] == plain[hidden:]

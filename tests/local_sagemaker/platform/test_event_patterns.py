"""Event patterns, input paths and transformers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.event_patterns import BadPath, find, matches, transform

EVENT: dict[str, Any] = {
    "source": "aws.sagemaker",
    "resources": ["arn:one", "arn:two"],
    "detail": {
        "Status": "Approved", "version": 3, "ratio": 0.5, "on": True, "none": None, "ip": "10.1.2.3",
        "deep": {"a": {"b": "x"}},
        "items": [{"name": "first", "size": 1}, {"name": "second", "size": 2}],
    },
}  # fmt: skip


def detail(**wanted: Any) -> dict[str, Any]:
    return {"detail": wanted}


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"source": ["aws.sagemaker"]},
        {"source": ["other", "aws.sagemaker"]},
        {"resources": ["arn:two"]},
        detail(Status=[{"prefix": "App"}], version=[3]),
        detail(Status=[{"suffix": "ved"}]),
        detail(Status=[{"prefix": {"equals-ignore-case": "aPP"}}]),
        detail(Status=[{"equals-ignore-case": "approved"}]),
        detail(Status=[{"wildcard": "A*r*d"}]),
        detail(Status=[{"anything-but": "Rejected"}]),
        detail(Status=[{"anything-but": ["Rejected", "Pending"]}]),
        detail(Status=[{"anything-but": {"prefix": "Rej"}}]),
        detail(Status=[{"anything-but": {"suffix": ["x", "y"]}}]),
        detail(Status=[{"anything-but": {"equals-ignore-case": ["rejected"]}}]),
        detail(version=[{"numeric": [">", 2, "<=", 3]}]),
        detail(ratio=[{"numeric": ["=", 0.5]}]),
        detail(on=[True]),
        detail(none=[None]),
        detail(ip=[{"cidr": "10.0.0.0/8"}]),
        detail(Status=[{"exists": True}]),
        detail(missing=[{"exists": False}]),
        detail(deep={"a": {"b": ["x"]}}),
        detail(deep={"c": [{"exists": False}]}),
        detail(items={"name": ["second"]}),
        detail(items={"size": [{"numeric": [">", 1]}]}),
        {"$or": [{"source": ["no"]}, detail(version=[3])]},
        {"source": ["aws.sagemaker"], "$or": [detail(version=[3]), detail(version=[4])]},
    ],
)
def test_these_match(pattern: dict[str, Any]) -> None:
    assert matches(pattern, EVENT)


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["aws.s3"]},
        {"source": "aws.sagemaker"},
        {"missing": ["x"]},
        detail(Status=["approved"]),
        detail(Status=[{"prefix": "pp"}]),
        detail(Status=[{"wildcard": "A*x"}]),
        detail(Status=[{"anything-but": ["Approved"]}]),
        detail(Status=[{"anything-but": {"prefix": "App"}}]),
        detail(missing=[{"anything-but": "x"}]),
        detail(version=[1], Status=["Approved"]),
        detail(version=["3"]),
        detail(version=[True]),
        detail(on=[1]),
        detail(version=[{"numeric": [">", 3]}]),
        detail(Status=[{"numeric": [">", 3]}]),
        detail(ip=[{"cidr": "192.168.0.0/16"}]),
        detail(Status=[{"exists": False}]),
        detail(missing=[{"exists": True}]),
        detail(deep=[{"exists": True}]),
        detail(deep={"a": {"b": ["y"]}}),
        detail(items={"name": ["third"]}),
        {"$or": [{"source": ["no"]}, {"source": ["neither"]}]},
        detail(Status=[{"no-such-filter": 1}]),
    ],
)
def test_these_do_not(pattern: dict[str, Any]) -> None:
    assert not matches(pattern, EVENT)


_leaf = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text("ab", max_size=3))
_document = st.recursive(
    _leaf, lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=3), max_leaves=6
).filter(lambda value: isinstance(value, dict))


def _pattern_of(document: Any) -> Any:
    return {key: _pattern_of(value) for key, value in document.items()} if isinstance(document, dict) else [document]


@given(_document)
def test_a_pattern_made_of_an_event_matches_it_and_nothing_with_another_leaf(document: dict[str, Any]) -> None:
    pattern = _pattern_of(document)
    assert matches(pattern, document)
    assert matches(pattern, document | {"more": 1})

    def changed(value: Any) -> Any:
        return {key: changed(one) for key, one in value.items()} if isinstance(value, dict) else "changed"

    assert not matches(pattern, changed(document))


def test_paths() -> None:
    assert find("$", EVENT) is EVENT
    assert find("$.detail.items[1].name", EVENT) == "second"
    assert find("$.detail['deep'].a", EVENT) == {"b": "x"}
    assert find("$.detail.items[7].name", EVENT) is None
    for path in ("detail", "$.a..b", "$.items[*]", "$.a b"):
        with pytest.raises(BadPath):
            find(path, EVENT)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('"The package is <status>."', '"The package is Approved."'),
        ('{"s": <status>, "n": <number>, "d": <deep>}', '{"s": "Approved", "n": 3, "d": {"b": "x"}}'),
        ('{"s": "<status>", "m": "<missing>", "u": "<unknown>"}', '{"s": "Approved", "m": "", "u": "<unknown>"}'),
        ('{"q": "<quoted>", "d": "<deep>"}', '{"q": "say \\"hi\\"", "d": "{\\"b\\": \\"x\\"}"}'),
        ('"<aws.events.rule-name>"', '"the-rule"'),
    ],
)
def test_a_transformed_event_is_valid_json(template: str, text: str) -> None:
    paths = {
        "status": "$.detail.Status", "number": "$.detail.version", "deep": "$.detail.deep.a", "missing": "$.detail.no",
        "quoted": "$.quoted",
    }  # fmt: skip
    event = EVENT | {"quoted": 'say "hi"'}
    made = transform(template, paths, event, "the-rule", "arn:rule")
    assert json.loads(made) == json.loads(text)


def test_the_whole_event_can_be_put_into_a_template() -> None:
    made = transform('{"whole": <aws.events.event.json>}', {}, EVENT, "the-rule", "arn:rule")
    assert json.loads(made) == {"whole": EVENT}

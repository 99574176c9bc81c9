"""Paths and expressions: what they mean, and that whatever is written is either understood or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.pipelines import paths
from local_sagemaker.pipelines.expressions import (
    BadExpression,
    CannotResolve,
    Scope,
    is_expression,
    references,
    resolve,
)
from tests.local_sagemaker.pipelines.harness import get, join, json_get

DOCUMENT = {
    "Model": {"Uri": "s3://b/m"},
    "Outputs": [{"OutputName": "a b", "Uri": "s3://b/a"}, {"OutputName": "c", "Uri": "s3://b/c"}],
    "Count": 3,
}
SCOPE = Scope(
    parameters={"Name": "x", "Rows": 5, "Share": 0.25, "Flag": True},
    execution={"PipelineExecutionId": "id"},
    properties=lambda step: DOCUMENT if step == "One" else {},
    file=lambda step, name: f"s3://b/{step}/{name}",
    read=lambda uri: json.dumps({"uri": uri, "gate": {"ok": False, "list": [10, {"deep": "!"}]}}).encode(),
)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (get("Parameters.Rows"), 5),
        (get("Execution.PipelineExecutionId"), "id"),
        (get("Steps.One.Model.Uri"), "s3://b/m"),
        (get("Steps.One.Outputs['a b'].Uri"), "s3://b/a"),
        (get('Steps.One.Outputs["c"].Uri'), "s3://b/c"),
        (get("Steps.One.Outputs[1].Uri"), "s3://b/c"),
        (join(get("Parameters.Name"), 1, True, 2.5, get("Parameters.Flag"), on="-"), "x-1-true-2.5-true"),
        (join(), ""),
        (json_get("One", "F", "uri"), "s3://b/One/F"),
        (json_get("One", "F", "gate.list[1].deep"), "!"),
        (json_get("One", "F", "['gate']['ok']"), False),
        (json_get("One", "F", "$.gate.list[0]"), 10),
        ({"Std:JsonGet": {"S3Uri": join("s3://b/", get("Parameters.Name")), "Path": "uri"}}, "s3://b/x"),
        ({"a": [get("Parameters.Share"), "Get", {"b": None}]}, {"a": [0.25, "Get", {"b": None}]}),
        ({"Get": "Parameters.Name", "other": 1}, {"Get": "Parameters.Name", "other": 1}),
    ],
)
def test_meaning(value: Any, result: Any) -> None:
    assert resolve(value, SCOPE) == result
    list(references(value))


@pytest.mark.parametrize(
    "value",
    [
        get("Steps.One.Outputs['d'].Uri"),
        get("Steps.One.Outputs[2].Uri"),
        get("Steps.One.Nothing"),
        get("Steps.One.Count.x"),
        get("Execution.PipelineName"),
        json_get("One", "F", "gate.nothing"),
        join(get("Steps.One.Model")),
    ],
)
def test_what_is_not_there(value: Any) -> None:
    with pytest.raises(CannotResolve) as error:
        resolve(value, SCOPE)
    assert len(str(error.value)) > 20


@pytest.mark.parametrize(
    "value",
    [
        get("Nothing.x"),
        get("Parameters"),
        get("Parameters.a.b"),
        get("Steps"),
        get(""),
        get("Steps..x"),
        {"Get": 1},
        get("Steps.One.a[b]"),
        get("Steps.One['x"),
        {"Std:Join": "x"},
        {"Std:Join": {"Values": "x"}},
        {"Std:Join": {"On": 1, "Values": []}},
        join(["x"]),
        join({"a": 1}),
        join(None),
        {"Std:JsonGet": {"Path": "x"}},
        {"Std:JsonGet": {"PropertyFile": get("Steps.A.PropertyFiles.F"), "S3Uri": "s3://b/k", "Path": "x"}},
        {"Std:JsonGet": {"PropertyFile": get("Steps.A.Files.F"), "Path": "x"}},
        {"Std:JsonGet": {"PropertyFile": "F", "Path": "x"}},
        {"Std:JsonGet": {"S3Uri": "s3://b/k"}},
        {"Std:JsonGet": {"S3Uri": "s3://b/k", "Path": "a["}},
        {"deep": [{"down": get("Nothing.x")}]},
    ],
)
def test_what_is_not_well_formed(value: Any) -> None:
    with pytest.raises(BadExpression):
        list(references(value))


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="'\"[]."), min_size=1, max_size=8).filter(
    lambda name: name.strip() == name and not name.startswith("$")
)
_SEGMENTS = st.lists(st.one_of(_NAMES, st.integers(0, 9)), min_size=1, max_size=5).map(tuple)


@given(_SEGMENTS)
def test_a_path_that_is_shown_is_read_back(segments: tuple[paths.Segment, ...]) -> None:
    assert paths.parse(paths.show(segments)) == segments


@given(_SEGMENTS, st.integers())
def test_a_path_leads_to_what_lies_there(segments: tuple[paths.Segment, ...], value: int) -> None:
    document: Any = value
    for segment in reversed(segments):
        document = [None] * segment + [document] if isinstance(segment, int) else {segment: document}
    assert paths.follow(document, segments) == value


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    try:
        segments = paths.parse(text)
    except paths.BadPath:
        return
    assert segments
    assert paths.parse(paths.show(segments)) == segments or any("'" in str(s) or '"' in str(s) for s in segments)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["Get", "Std:Join", "Std:JsonGet", "On", "Values", "Path", "S3Uri", "a"]), inner, max_size=3
        ),
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_document_is_understood_or_refused_with_a_sentence(value: Any) -> None:
    try:
        found = list(references(value))
    except BadExpression as error:
        assert str(error)
        return
    if not found and not _mentions(value):
        assert resolve(value, SCOPE) == value


def _mentions(value: Any) -> bool:
    if is_expression(value):
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_mentions, inner))

"""When an answer is the expected one: within the tolerance, and with the label that no rounding could turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployment.checks.answers import Case, Cases, compare


def compared(
    expected: tuple[str, dict[str, float]],
    got: Any,
    *,
    tolerance: float = 0.002,
    thresholds: dict[str, float] | None = None,
) -> str:
    case = Case(1, {"image": ""}, *expected)
    body = got if isinstance(got, bytes) else json.dumps({"predicted_label": got[0], "probabilities": got[1]}).encode()
    return compare(case, body, Cases(tolerance, thresholds or {}, (case,)))


SURE = ("a", {"a": 0.9, "b": 0.1})
CLOSE = ("a", {"a": 0.501, "b": 0.499})


@pytest.mark.parametrize(
    ("expected", "got", "more"),
    [
        (SURE, SURE, {}),
        (SURE, ("a", {"a": 0.902, "b": 0.098}), {}),
        (SURE, ("a", {"a": 0.85, "b": 0.15}), {"tolerance": 0.1}),
        (CLOSE, ("b", {"a": 0.4995, "b": 0.5005}), {}),
        (("b", {"a": 0.301, "b": 0.699}), ("a", {"a": 0.3, "b": 0.7}), {"thresholds": {"a": 0.3}}),
    ],
)
def test_the_same(expected: Any, got: Any, more: Any) -> None:
    assert compared(expected, got, **more) == ""


@pytest.mark.parametrize(
    ("expected", "got", "more"),
    [
        (SURE, ("a", {"a": 0.9021, "b": 0.0979}), {}),
        (SURE, ("b", {"a": 0.9, "b": 0.1}), {}),
        (SURE, ("a", {"a": 0.9}), {}),
        (SURE, ("a", {"a": 0.9, "b": 0.1, "c": 0.0}), {}),
        (SURE, ("a", {"a": float("nan"), "b": 0.1}), {}),
        (CLOSE, ("b", {"a": 0.49, "b": 0.51}), {}),
        (("b", {"a": 0.2, "b": 0.8}), ("a", {"a": 0.2, "b": 0.8}), {"thresholds": {"a": 0.3}}),
        (SURE, b"no JSON", {}),
        (SURE, b"[]", {}),
        (SURE, b'{"predicted_label": "a"}', {}),
        (SURE, b'{"error": {"code": "bad_image", "message": "x"}}', {}),
    ],
)
def test_not_the_same(expected: Any, got: Any, more: Any) -> None:
    text = compared(expected, got, **more)
    assert text.startswith(f"expected {expected[0]} {{") and ", got " in text

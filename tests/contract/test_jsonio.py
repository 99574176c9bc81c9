"""The one JSON writer: canonical, and never half a file."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from contracts import hashing, jsonio
from contracts.errors import ContractError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(value)}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_equal_values_give_equal_text_and_the_text_gives_the_value_back(value: Any) -> None:
    text = jsonio.canonical(value)
    assert text == jsonio.canonical(_shuffled(value)) and json.loads(text) == value
    assert hashing.of_value(value) == hashing.of_value(_shuffled(value))
    assert json.loads(jsonio.pretty(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_does_not_know_is_not_written(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "x.json"
    jsonio.write(path, {"old": 1})
    with pytest.raises(ValueError, match="JSON"):
        jsonio.write(path, value)
    assert jsonio.read(path) == {"old": 1} and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_failing_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    jsonio.write(path, {"old": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        jsonio.write(path, {"new": 2})
    monkeypatch.undo()
    assert jsonio.read(path) == {"old": 1} and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_file_gets_the_rights_that_any_new_file_gets(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "x.json"
    before = os.umask(0o027)
    try:
        jsonio.write(path, [])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text() == "[]\n"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"nothing\.json is missing"):
        jsonio.read(tmp_path / "nothing.json")
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(ContractError, match=r"half\.json is not JSON"):
        jsonio.read(tmp_path / "half.json")
    (tmp_path / "bytes.json").write_bytes(b'"\xff"')
    with pytest.raises(ContractError, match=r"bytes\.json is not JSON"):
        jsonio.read(tmp_path / "bytes.json")

"""Cutting inputs: nothing is lost, nothing is larger than the limit, records stay whole and in order."""

from __future__ import annotations

import gzip
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.transforms import payloads
from local_sagemaker.transforms.payloads import BadInput, Source, cut

_CONTENTS = st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")), max_size=12).map(b"\n".join)


def pieces(content: bytes, *, lines: bool, several: bool, limit: int | None, chunk: int = 7) -> list[bytes]:
    """The payloads of an input that is read ``chunk`` bytes at a time."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(payloads, "_CHUNK", chunk)
        path = Path(folder, "input")
        path.write_bytes(content)
        found = list(cut(Source(path), lines=lines, several=several, limit=limit))
        return [one if isinstance(one, bytes) else b"".join(one.chunks()) for one in found]


def records(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


@given(_CONTENTS, st.sampled_from([None, 12, 1000]))
def test_a_line_is_a_record(content: bytes, limit: int | None) -> None:
    assert pieces(content, lines=True, several=False, limit=limit) == records(content)


@given(_CONTENTS, st.integers(12, 40))
def test_batches_are_as_full_as_may_be(content: bytes, limit: int) -> None:
    found = pieces(content, lines=True, several=True, limit=limit)
    assert all(len(one) <= limit for one in found)
    assert b"\n".join(found) == b"\n".join(records(content))
    for batch, following in itertools.pairwise(found):
        assert len(batch) + 1 + len(following.split(b"\n")[0]) > limit


@given(st.binary(max_size=60), st.booleans())
def test_without_lines_or_a_limit_an_input_stays_whole(content: bytes, several: bool) -> None:
    assert pieces(content, lines=False, several=several, limit=60) == [content]
    assert pieces(content, lines=False, several=several, limit=None) == [content]
    assert pieces(content, lines=True, several=True, limit=None) == [content]


@given(st.binary(min_size=1, max_size=40).map(lambda data: data.replace(b"\n", b"x")), st.booleans(), st.booleans())
def test_what_is_larger_than_the_limit_is_refused(record: bytes, lines: bool, several: bool) -> None:
    assert pieces(record, lines=lines, several=several, limit=len(record)) == [record]
    with pytest.raises(BadInput, match="Too much data"):
        pieces(record, lines=lines, several=several, limit=len(record) - 1)


_BROKEN = [b"plain text", gzip.compress(b"x" * 100, mtime=0)[:-9], b"\x1f\x8b\x08\x00" + b"\xff" * 30]


@pytest.mark.parametrize("broken", _BROKEN, ids=["text", "cut", "noise"])
def test_what_is_no_gzip_is_refused(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "input"
    path.write_bytes(broken)
    with pytest.raises(BadInput, match="no gzip file"):
        list(Source(path, compressed=True).chunks())

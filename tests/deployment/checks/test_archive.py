"""The bundle's hash from a stream: the same as from the unpacked folder, and limits for archives of strangers."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import archives, bundle
from contracts.bundle import BundleSpec
from contracts.errors import ContractError
from deployment.checks import archive


def sealed(folder: Path, golden: Any = None, weights: bytes = b"weights") -> BundleSpec:
    folder.mkdir()
    (folder / bundle.MODEL).write_bytes(b"graph")
    (folder / bundle.WEIGHTS).write_bytes(weights)
    (folder / bundle.GOLDEN).write_text(json.dumps({"float32": {}} if golden is None else golden))
    spec = BundleSpec(
        classes=("a", "b"), positive_class="a", input_size=8, color_mode="L", mean=(0.0,), std=(1.0,), temperature=1.0,
        thresholds={}, dataset_hash="d" * 64, source_hash="e" * 64, recipe="quick", protocol="group",
    )  # fmt: skip
    return bundle.seal(folder, spec)


def packed(folder: Path) -> io.BytesIO:
    stream = io.BytesIO()
    archives.pack_folder(stream, folder)
    stream.seek(0)
    return stream


def test_the_hash_is_that_of_the_folder(tmp_path: Path) -> None:
    spec = sealed(tmp_path / "bundle", {"float32": {"tolerance": 1, "cases": []}})
    found = archive.read_stream(packed(tmp_path / "bundle"))
    assert found.bundle_hash == spec.bundle_hash == bundle.bundle_hash(tmp_path / "bundle")
    assert found.spec == spec and found.golden == {"float32": {"tolerance": 1, "cases": []}}


def test_the_archives_own_bytes_do_not_matter(tmp_path: Path) -> None:
    spec = sealed(tmp_path / "bundle")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as tar:
        tar.add(tmp_path / "bundle", arcname=".")
    stream.seek(0)
    assert archive.read_stream(stream).bundle_hash == spec.bundle_hash


@pytest.mark.parametrize(("weights", "most"), [(os.urandom(24 * 1024**2), 8), (bytes(256 * 1024**2), 48)])
def test_a_large_bundle_takes_little_memory(tmp_path: Path, weights: bytes, most: int) -> None:
    """The second one's 10 KB, tar's unit of reading, become 10 MB."""
    sealed(tmp_path / "bundle", weights=weights)
    stream = packed(tmp_path / "bundle")
    tracemalloc.start()
    try:
        archive.read_stream(stream)
        assert tracemalloc.get_traced_memory()[1] < most * 1024**2
    finally:
        tracemalloc.stop()


def made(*members: tuple[str, bytes], **more: Any) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", **more) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    stream.seek(0)
    return stream


def link() -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        info = tarfile.TarInfo("model.onnx")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    stream.seek(0)
    return stream


def long_header() -> io.BytesIO:
    """A header that says that the next one's name has 4 GB: a reader that believes it fills its memory."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4 * 1024**3
    return io.BytesIO(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024))


def huge_member() -> io.BytesIO:
    info = tarfile.TarInfo("weights.safetensors")
    info.size = archive.MAX_BYTES + 1
    return io.BytesIO(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))


def sparse() -> io.BytesIO:
    info = tarfile.TarInfo("weights.safetensors")
    info.type = tarfile.GNUTYPE_SPARSE
    return io.BytesIO(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))


STRANGE: dict[str, tuple[Callable[[], io.BytesIO], str]] = {
    "nothing": (lambda: io.BytesIO(b""), "cannot be read"),
    "no gzip": (lambda: io.BytesIO(b"PK\x03\x04" * 1000), "cannot be read"),
    "empty archive": (lambda: made(), "holds no bundle.json"),
    "no bundle": (lambda: made(("model.onnx", b"x")), "holds no bundle.json"),
    "no golden requests": (lambda: made(("bundle.json", b"{}")), "holds no golden.json"),
    "no JSON": (lambda: made(("bundle.json", b"["), ("golden.json", b"{}")), "bundle.json is not JSON"),
    "no object": (lambda: made(("bundle.json", b"[]"), ("golden.json", b"{}")), "bundle.json is no JSON object"),
    "other version": (lambda: made(("bundle.json", b"{}"), ("golden.json", b"{}")), "format version None"),
    "twice": (lambda: made(("a", b"1"), ("./a", b"2")), "holds 'a' twice"),
    "leaves": (lambda: made(("../a", b"1")), "would leave its folder"),
    "absolute": (lambda: made(("/a", b"1")), "would leave its folder"),
    "link": (link, "no regular file"),
    "sparse": (sparse, "no regular file"),
    "long header": (long_header, "a header of 4294967296 bytes"),
    "huge": (huge_member, "more than 100 members or 2147483648 bytes"),
    "many": (lambda: made(*((f"m{number}", b"") for number in range(101))), "more than 100 members"),
    "large document": (lambda: made(("bundle.json", b" " * (1024**2 + 1))), "bundle.json has more than"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_bundle_is_refused(name: str) -> None:
    make, words = STRANGE[name]
    with pytest.raises(ContractError, match=words):
        archive.read_stream(make())


def test_a_cut_archive_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    sealed(tmp_path / "bundle", weights=bytes(range(256)) * 400)
    whole = packed(tmp_path / "bundle").getvalue()
    for end in range(0, len(whole) - 16, max(1, len(whole) // 50)):
        with pytest.raises(ContractError):
            archive.read_stream(io.BytesIO(whole[:end]))

"""The bundle's hash: what it depends on, and what it does not."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from contracts import archives, bundle, jsonio
from contracts.errors import ContractError

SPEC = bundle.BundleSpec(
    classes=("defective", "functional"),
    positive_class="defective",
    input_size=224,
    color_mode="L",
    mean=(127.5,),
    std=(64.0,),
    temperature=1.25,
    thresholds={"defective": 0.4},
    dataset_hash="d" * 64,
    source_hash="5" * 64,
    recipe="quick",
    protocol="group",
    licence="CC BY-NC-SA 4.0",
)


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / bundle.MODEL).write_bytes(b"graph")
    (folder / bundle.WEIGHTS).write_bytes(b"weights")
    jsonio.write(folder / bundle.GOLDEN, {"requests": []})
    return folder


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = fill(tmp_path / "bundle")
    bundle.seal(folder, SPEC)
    return folder


def test_a_sealed_bundle_is_read_back_whole(sealed: Path) -> None:
    spec = bundle.read(sealed)
    assert replace(spec, bundle_hash="") == SPEC
    assert spec.bundle_hash == bundle.bundle_hash(sealed) and len(spec.bundle_hash) == 64
    assert spec.channels == 1 and replace(spec, color_mode="RGB").channels == 3


def test_sealing_again_changes_nothing(sealed: Path) -> None:
    first = bundle.read(sealed)
    assert bundle.seal(sealed, first) == first


def test_the_hash_survives_the_archive_its_order_and_its_times(sealed: Path, tmp_path: Path) -> None:
    for order in (sorted, lambda names: sorted(names, reverse=True)):
        for path in sealed.iterdir():
            os.utime(path, (1, 1))
        target = io.BytesIO()
        members = {path.name: path for path in order(sealed.iterdir())}
        archives.pack(target, members)
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(target.getvalue())
        archives.extract(archive, tmp_path / "out")
        assert bundle.read(tmp_path / "out") == bundle.read(sealed)


@pytest.mark.parametrize("member", [bundle.MODEL, bundle.WEIGHTS, bundle.GOLDEN])
def test_one_changed_byte_is_found(sealed: Path, member: str) -> None:
    path = sealed / member
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ContractError, match="not what its hash says"):
        bundle.read(sealed)
    assert bundle.read(sealed, verify=False).bundle_hash != bundle.bundle_hash(sealed)


@pytest.mark.parametrize("name", ["extra.bin", "sub/extra.bin", "sub/bundle.json"])
def test_an_added_member_is_found_wherever_it_lies(sealed: Path, name: str) -> None:
    path = sealed / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    with pytest.raises(ContractError, match="not what its hash says"):
        bundle.read(sealed)


def test_a_renamed_member_is_found(sealed: Path) -> None:
    (sealed / bundle.WEIGHTS).rename(sealed / "other.safetensors")
    with pytest.raises(ContractError, match="not what its hash says"):
        bundle.read(sealed)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 1.26}, {"thresholds": {"defective": 0.41}}, {"classes": ["functional", "defective"]},
        {"dataset_hash": "e" * 64}, {"source_hash": "6" * 64}, {"protocol": "random"}, {"mean": [127.6]},
    ],
)  # fmt: skip
def test_one_changed_field_is_found(sealed: Path, change: dict[str, object]) -> None:
    jsonio.write(sealed / bundle.SPEC, {**jsonio.read(sealed / bundle.SPEC), **change})
    with pytest.raises(ContractError, match="not what its hash says"):
        bundle.read(sealed)


def test_another_format_a_missing_field_and_a_missing_graph_are_named(sealed: Path) -> None:
    spec = jsonio.read(sealed / bundle.SPEC)
    jsonio.write(sealed / bundle.SPEC, {**spec, "format_version": 99})
    with pytest.raises(ContractError, match="format version 99; this code reads 1"):
        bundle.read(sealed)
    jsonio.write(sealed / bundle.SPEC, {key: value for key, value in spec.items() if key != "mean"})
    with pytest.raises(ContractError, match=r"incomplete: 'mean'"):
        bundle.read(sealed)
    jsonio.write(sealed / bundle.SPEC, spec)
    (sealed / bundle.MODEL).unlink()
    with pytest.raises(ContractError, match=r"has no model\.onnx"):
        bundle.read(sealed)

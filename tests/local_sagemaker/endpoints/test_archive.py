from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from local_sagemaker.endpoints.archive import BadArchive, unpack


def write(path: Path, *members: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return path


def member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = (size if kind == tarfile.REGTYPE else 0), kind, target
    return info


def extract(archive: Path, folder: Path, max_bytes: int = 1000, max_files: int = 10) -> None:
    unpack(archive, folder, max_bytes=max_bytes, max_files=max_files)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_files_and_folders_come_out(tmp_path: Path, mode: str) -> None:
    archive = write(
        tmp_path / "a", member("code", kind=tarfile.DIRTYPE), member("code/x.py"), member("./m.onnx"), mode=mode
    )
    extract(archive, tmp_path / "out")
    assert (tmp_path / "out/code/x.py").read_bytes() == b"xxx"
    assert (tmp_path / "out/m.onnx").read_bytes() == b"xxx"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (member("link", kind=tarfile.SYMTYPE, target="/etc/passwd"), "link or a device"),
        (member("hard", kind=tarfile.LNKTYPE, target="ok"), "link or a device"),
        (member("pipe", kind=tarfile.FIFOTYPE), "link or a device"),
        (member("null", kind=tarfile.CHRTYPE), "link or a device"),
        (member("/abs"), "leads out of the folder"),
        (member("../up"), "leads out of the folder"),
        (member("a/../../up"), "leads out of the folder"),
        (member("big", size=2000), "more than"),
    ],
)
def test_hostile_members_are_refused_and_nothing_leaves_the_folder(
    tmp_path: Path, bad: tarfile.TarInfo, message: str
) -> None:
    archive = write(tmp_path / "a", member("ok"), bad)
    with pytest.raises(BadArchive, match=message):
        extract(archive, tmp_path / "in/out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "in", "ok", "out"]


def test_many_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="more than 10 members"):
        extract(write(tmp_path / "a", *(member(str(n), 0) for n in range(11))), tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08\x00broken"])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadArchive):
        extract(tmp_path / "a", tmp_path / "out")


def test_a_cut_archive_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", member("m", 900)).read_bytes()
    (tmp_path / "a").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadArchive):
        extract(tmp_path / "a", tmp_path / "out")

"""The one writer and the one extractor of tar archives: deterministic out, hostile in."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from contracts import archives
from contracts.errors import ContractError


@pytest.fixture(
    scope="module", autouse=True, params=[{"filter": "data"}, {"set_attrs": False}], ids=["3.11.4", "3.11.2"]
)
def how(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the standard library's filter, and as a Python without it extracts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "_HOW", request.param)
        yield


def packed(folder: Path) -> bytes:
    target = io.BytesIO()
    archives.pack_folder(target, folder)
    return target.getvalue()


def fill(folder: Path, names: tuple[str, ...], time: int) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
        os.utime(path, (time, time))


def archive(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = tmp_path / "in.tar"
    with tarfile.open(path, "w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    names = ("b.txt", "a/x.bin", "a/é.txt")
    fill(tmp_path / "one", names, 1_000_000_000)
    fill(tmp_path / "two", tuple(reversed(names)), 1_700_000_000)
    (tmp_path / "two" / "b.txt").chmod(0o600)
    assert packed(tmp_path / "one") == packed(tmp_path / "two")


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    fill(tmp_path / "in", ("b.txt", "a/x.bin"), 1)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(packed(tmp_path / "in"))
    archives.extract(path, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p.read_text() for p in (tmp_path / "out").rglob("*.*")}
    assert found == {"b.txt": "content of b.txt", "a/x.bin": "content of a/x.bin"}


def test_an_archive_without_compression(tmp_path: Path) -> None:
    fill(tmp_path, ("b.txt",), 1)
    target = io.BytesIO()
    archives.pack(target, {"b.txt": tmp_path / "b.txt"}, compress=False)
    with tarfile.open(fileobj=io.BytesIO(target.getvalue()), mode="r:") as tar:
        assert tar.getnames() == ["b.txt"]


@pytest.mark.parametrize(
    "hostile",
    [
        member("/etc/evil"),
        member("../evil"),
        member("a/../../evil"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "inside"),
        member("hard", tarfile.LNKTYPE, "../../etc/passwd"),
        member("device", tarfile.CHRTYPE),
        member("disk", tarfile.BLKTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}",
)
def test_a_member_that_would_leave_or_is_no_file_is_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    path = archive(tmp_path, (member("good.txt"), b"good"), (hostile, b""))
    with pytest.raises(ContractError, match=r"in\.tar holds"):
        archives.extract(path, tmp_path / "deep" / "out")
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} <= {"in.tar", "good.txt"}
    assert not (tmp_path / "evil").exists() and not (tmp_path / "deep" / "evil").exists()


def test_a_symbolic_link_to_a_folder_does_not_lead_a_later_member_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = archive(tmp_path, (member("door", tarfile.SYMTYPE, str(outside)), b""), (member("door/evil"), b"x"))
    with pytest.raises(ContractError):
        archives.extract(path, tmp_path / "out")
    assert list(outside.iterdir()) == []


def test_a_folder_that_is_already_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "door").symlink_to(outside)
    path = archive(tmp_path, (member("door/evil"), b"x"))
    with pytest.raises(ContractError):
        archives.extract(path, tmp_path / "out")
    assert list(outside.iterdir()) == []


def test_too_many_bytes_or_members_are_refused_before_they_are_written(tmp_path: Path) -> None:
    path = archive(tmp_path, (member("a"), b"x" * 600), (member("b"), b"x" * 600))
    with pytest.raises(ContractError, match="too large to unpack"):
        archives.extract(path, tmp_path / "one", max_bytes=1000)
    assert not (tmp_path / "one" / "b").exists()
    with pytest.raises(ContractError, match="too large to unpack"):
        archives.extract(path, tmp_path / "two", max_members=1)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    """16 MiB of zeros in 16 kB: what is promised counts, not what was read."""
    bomb = tmp_path / "bomb.tar.gz"
    info = member("zeros")
    info.size = 16 * 1024**2
    with gzip.open(bomb, "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:  # type: ignore[arg-type]
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    assert bomb.stat().st_size < 20_000
    with pytest.raises(ContractError, match="too large to unpack"):
        archives.extract(bomb, tmp_path / "out", max_bytes=1024**2)
    assert not (tmp_path / "out" / "zeros").exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive at all", gzip.compress(b"no archive inside"), gzip.compress(b"x" * 5000)[:40]],
    ids=["empty", "text", "gzip of text", "cut gzip"],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    with pytest.raises(ContractError, match="is not a readable tar archive"):
        archives.extract(path, tmp_path / "out")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "in", ("a.txt", "b.txt"), 1)
    (tmp_path / "in" / "b.txt").write_bytes(os.urandom(50_000))
    path = tmp_path / "x.tar.gz"
    path.write_bytes(packed(tmp_path / "in")[:20_000])
    with pytest.raises(ContractError, match="is not a readable tar archive"):
        archives.extract(path, tmp_path / "out")


def test_what_comes_out_is_no_program_and_belongs_to_us(tmp_path: Path) -> None:
    info = member("tool")
    info.mode, info.uid, info.gid = 0o6777, 12345, 12345
    archives.extract(archive(tmp_path, (info, b"x")), tmp_path / "out")
    found = (tmp_path / "out" / "tool").stat()
    assert found.st_uid == os.getuid() and found.st_mode & 0o7022 == 0


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_archive_is_refused_or_read_but_never_a_surprise(data: st.DataObject) -> None:
    damaged = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar.gz"
        path.write_bytes(bytes(damaged))
        try:
            archives.extract(path, Path(folder) / "out", max_bytes=1_000_000)
        except ContractError:
            pass
        assert {p.name for p in Path(folder).iterdir()} <= {"x.tar.gz", "out"}


def _sound() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), ("a.txt", "sub/b.txt"), 1)
        # Longer than one buffer of the decompressor: damage shows up while a member is being written, too.
        (Path(folder) / "sub" / "c.txt").write_text("".join(f"{n * n % 7919}," for n in range(60_000)))
        return packed(Path(folder))


SOUND = _sound()

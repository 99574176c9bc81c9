"""The bundle in S3: its hash from the archive's own bytes, and its golden requests, in one pass and little memory.

Nothing is unpacked: members are hashed as they stream by; only ``bundle.json`` and ``golden.json`` are kept. The limits
hold for archives that nobody of ours has made.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from contracts import bundle
from contracts.bundle import BundleSpec
from contracts.errors import ContractError
from contracts.s3uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Unpacked bytes and members of a bundle. A function with a seventh of a processor hashes about 30 MB a second, so the
#: largest takes a minute of the five that it has.
MAX_BYTES = 2 * 1024**3
MAX_MEMBERS = 100
#: Bytes of ``bundle.json``, of ``golden.json``, and of a header that tar writes for a long name.
_MAX_KEPT = {bundle.SPEC: 1024**2, bundle.GOLDEN: 32 * 1024**2}
_MAX_HEADER = 64 * 1024
_CHUNK = 1024**2


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive holds. ``golden`` is ``golden.json``: precision -> ``{"tolerance", "cases"}``."""

    bundle_hash: str
    spec: BundleSpec
    golden: Mapping[str, Any]


def read(s3: S3Client, uri: S3Uri) -> Contents:
    """Read the archive at ``uri`` once and hash it.

    Raises:
        ContractError: not a bundle's archive, too large, or its content is not what its own hash says.
        ClientError: the object is not there, or may not be read.
    """
    answer = s3.get_object(Bucket=uri.bucket, Key=uri.key)
    with answer["Body"] as body:
        return read_stream(body)


def read_stream(stream: Any) -> Contents:
    """The same for any binary stream; ``read(n)`` is all that is asked of it."""
    hashes: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|gz", tarinfo=_Header) as tar:
            total = 0
            for count, member in enumerate(tar, 1):
                total += member.size
                if count > MAX_MEMBERS or total > MAX_BYTES or member.size < 0:
                    raise ContractError(
                        f"the archive has more than {MAX_MEMBERS} members or {MAX_BYTES} bytes",
                        "A bundle is smaller. Reject the package.",
                    )
                if member.isdir():
                    continue
                name = _name(member, hashes)
                source = tar.extractfile(member)
                if source is None:
                    raise ContractError(f"{name} cannot be read")
                hashes[name], kept[name] = _hash(source, name)
    except (tarfile.TarError, EOFError, OverflowError, zlib.error, ValueError) as error:
        raise ContractError(f"the archive cannot be read: {error}") from None
    return _contents(hashes, kept)


def _contents(hashes: Mapping[str, str], kept: Mapping[str, bytes]) -> Contents:
    spec, golden = (_document(kept, name) for name in (bundle.SPEC, bundle.GOLDEN))
    found = bundle.hash_of({name: value for name, value in hashes.items() if name != bundle.SPEC}, spec)
    said = BundleSpec.from_json(spec)
    if said.bundle_hash != found:
        raise ContractError(f"the archive's content has the hash {found}; its bundle.json says {said.bundle_hash}")
    return Contents(found, said, golden)


def _name(member: tarfile.TarInfo, before: Mapping[str, str]) -> str:
    """The member's name as the folder has it after unpacking; refuses what unpacking could read in another way."""
    if not member.isreg() or member.issparse():
        raise ContractError(f"the archive holds {member.name!r}, which is no regular file")
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ContractError(f"the archive holds {member.name!r}, which would leave its folder")
    name = path.as_posix()
    if name in before:
        raise ContractError(f"the archive holds {name!r} twice")
    return name


def _hash(source: IO[bytes], name: str) -> tuple[str, bytes]:
    """SHA-256 of a member, and its bytes where they are needed."""
    digest, limit, found = hashlib.sha256(), _MAX_KEPT.get(name, 0), bytearray()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if limit:
            found += chunk
            if len(found) > limit:
                raise ContractError(f"{name} has more than {limit} bytes")
    return digest.hexdigest(), bytes(found)


def _document(kept: Mapping[str, bytes], name: str) -> Mapping[str, Any]:
    if name not in kept:
        raise ContractError(f"the archive holds no {name}")
    try:
        value = json.loads(kept[name])
    except ValueError as error:
        raise ContractError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ContractError(f"{name} is no JSON object")
    return value


class _Header(tarfile.TarInfo):
    """A header whose extensions (long names, pax records), which tarfile reads into memory, have a limit."""

    _EXTENSIONS = (
        tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    )  # fmt: skip

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        found = super().frombuf(buf, encoding, errors)
        if found.type in cls._EXTENSIONS and found.size > _MAX_HEADER:
            raise ContractError(f"the archive has a header of {found.size} bytes; at most {_MAX_HEADER} are allowed")
        return found

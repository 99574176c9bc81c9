"""Where a bundle is: a folder, a ``model.tar.gz``, an S3 URI of one, or a model package that names one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import archives, bundle, jsonio
from contracts.bundle import BundleSpec
from contracts.errors import ContractError, FactoryError, UsageError
from contracts.s3uri import S3Uri

if TYPE_CHECKING:
    from cv_factory.session import Target

_S3 = "s3://"
_HINT = f"A bundle is a folder with {bundle.SPEC}, the {bundle.ARCHIVE} that a training made, or its s3:// URI."


def bring(where: str, model: Path, target: Callable[[], Target]) -> BundleSpec:
    """Put the bundle that ``where`` names at ``model``, as a link to its folder or unpacked; what it says of itself.

    Args:
        where: a path, an S3 URI, or the version or ARN of a model package.
        model: a path that does not exist yet, in a folder that does.
        target: the environment; asked only for what is not on this machine.

    Raises:
        UsageError: there is nothing of that name.
        ContractError: it is no bundle.
    """
    path = Path(where)
    if where.startswith(_S3):
        _unpack(_download(target().client("s3"), S3Uri.parse(where), model.with_name(bundle.ARCHIVE)), model)
    elif path.exists():
        _local(path, model)
    elif where.isdecimal() or where.startswith("arn:"):
        from cv_factory.operations import release

        found = release.package(target(), where)
        archive = model.with_name(bundle.ARCHIVE)
        _unpack(_download(target().client("s3"), S3Uri.parse(found.model_uri), archive), model)
    else:
        raise UsageError(f"there is no file or folder {where}", _HINT)
    return _read(model, where)


def _local(path: Path, model: Path) -> None:
    if path.is_dir() and (path / bundle.SPEC).is_file():
        model.symlink_to(path.resolve(), target_is_directory=True)
    elif path.is_dir() and (path / bundle.ARCHIVE).is_file():
        _unpack(path / bundle.ARCHIVE, model)
    elif path.is_file():
        _unpack(path, model)
    else:
        raise ContractError(f"{path} is no bundle: it holds neither {bundle.SPEC} nor {bundle.ARCHIVE}", _HINT)


def _download(s3: Any, uri: S3Uri, file: Path) -> Path:
    if uri.name != bundle.ARCHIVE:
        uri = uri / bundle.ARCHIVE
    from botocore.exceptions import ClientError

    try:
        s3.download_file(uri.bucket, uri.key, str(file))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NoSuchBucket"):
            raise FactoryError(f"there is no object {uri}", _HINT) from None
        raise
    return file


def _unpack(archive: Path, model: Path) -> None:
    archives.extract(archive, model)


def _read(model: Path, where: str) -> BundleSpec:
    if not (model / bundle.SPEC).is_file():
        raise ContractError(f"{where} is no bundle: it holds no {bundle.SPEC}", _HINT)
    return BundleSpec.from_json(jsonio.read(model / bundle.SPEC))

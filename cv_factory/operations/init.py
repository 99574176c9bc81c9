"""``init``: a commented ``factory.yaml`` for a folder of images."""

from __future__ import annotations

from pathlib import Path

from contracts import jsonio
from contracts.errors import UsageError
from contracts.settings import DEFAULT_FILE
from contracts.source import root
from cv_factory.operations import sources

#: What the file's first line names, so that editors check it.
_SCHEMA = "factory.schema.json"
_SHIPPED = "elpv               # elpv | ./folder | s3://bucket/prefix"


def write_settings(source: str, folder: Path) -> Path:
    """Write ``factory.yaml`` into ``folder``: the example that ships, with ``data.source`` set; its schema beside it.

    Raises:
        UsageError: there is one already, or the source is no folder.
        DataError: the folder gives no labels.
    """
    file = folder / DEFAULT_FILE
    if file.exists():
        raise UsageError(f"{file} exists already", f"Set data.source: {source} in it, or write into another folder.")
    text = (root() / DEFAULT_FILE).read_text(encoding="utf-8")
    if source != "elpv":
        if not source.startswith("s3://"):
            sources.open_source(source, folder, _no_client)
            source = _relative(source, folder)
        text = text.replace(_SHIPPED, f"{source}  # elpv | ./folder | s3://bucket/prefix")
        text = text.replace("min_per_slice: {balanced_accuracy: 0.60}  ", "min_per_slice: {}                         ")
    jsonio.write_bytes(folder / _SCHEMA, (root() / _SCHEMA).read_bytes())
    jsonio.write_bytes(file, text.encode())
    return file


def _relative(source: str, folder: Path) -> str:
    identity = sources.identity(source, folder)
    return identity if Path(identity).is_absolute() else f"./{identity}"


def _no_client(service: str) -> object:
    raise AssertionError(f"a folder needs no {service}")

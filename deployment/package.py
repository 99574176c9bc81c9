"""The Lambda's zip: this package and the contracts that it imports. The same sources give the same bytes.

python -m deployment.package build/deployer.zip
"""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from pathlib import Path

from contracts import jsonio
from contracts.errors import UsageError

HANDLER = "deployment.handler.handler"

#: The first instant that a zip can hold; every member has it.
_TIME = (1980, 1, 1, 0, 0, 0)
_ROOMS = ("deployment", "contracts")
#: Makes the zip, so it is not in it.
_LEFT_OUT = {"deployment.package"}


def build_zip(root: Path | None = None) -> bytes:
    """The zip's bytes: modules that ``deployment.handler`` reaches, sorted, uncompressed, without times.

    Uncompressed, because compressors differ between Python builds and Terraform compares the bytes.
    """
    base = root or Path(__file__).resolve().parent.parent
    members = {path.relative_to(base).as_posix(): path.read_bytes() for path in _modules(base).values()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3  # Unix, on every machine
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])
    return stream.getvalue()


def _modules(base: Path) -> dict[str, Path]:
    """Module -> file, of everything of ours that the handler imports, directly or not."""
    found: dict[str, Path] = {}
    waiting = [HANDLER.rpartition(".")[0]]
    while waiting:
        name = waiting.pop()
        path = _file(base, name)
        if path is None or name in found or name in _LEFT_OUT:
            continue
        found[name] = path
        parent = name.rpartition(".")[0]
        waiting += [*_imports(path), *([parent] if parent else [])]
    return found


def _file(base: Path, module: str) -> Path | None:
    """The file of a module of ours; None for a name inside a module and for everybody else's modules."""
    if module.partition(".")[0] not in _ROOMS:
        return None
    path = base.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def main(arguments: list[str]) -> int:
    """Write the zip to the file that is named."""
    if len(arguments) != 1:
        raise UsageError("name one file", "python -m deployment.package build/deployer.zip")
    path = Path(arguments[0])
    data = build_zip()
    if not path.is_file() or path.read_bytes() != data:
        jsonio.write_bytes(path, data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What this server does with each member of each request that it answers: the honest table.

Every module of this package has ``FIELDS``: operation -> dotted member path -> one of three classes.

``executed``
    The member has the effect that AWS documents.
``recorded``
    The member is validated and Describe returns it, but nothing here enforces it (VPC, KMS keys, instance types, …).
``refused``
    The member is answered with a ValidationException that names it, because ignoring it would mislead.

Paths go through lists without an index and end at maps: ``ProductionVariants.ServerlessConfig``,
``Containers.Environment``. ``recorded`` and ``refused`` cover everything below a path unless a longer path says
otherwise; ``executed`` covers only itself, so that a member which botocore learns later is never called executed
unseen. Operations that only read have no table (:func:`reads_only`). A test compares the tables with botocore's shapes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.model import Shape

from local_sagemaker.errors import not_executed

if TYPE_CHECKING:
    from local_sagemaker.api import Call

EXECUTED, RECORDED, REFUSED = "executed", "recorded", "refused"
CLASSES = (EXECUTED, RECORDED, REFUSED)

_READING = ("BatchDescribe", "Describe", "Get", "List", "Query", "Search")


def under(prefix: str, fields: Mapping[str, str]) -> dict[str, str]:
    """``fields`` with ``prefix.`` before each path, and ``prefix`` itself for the path ``""``."""
    return {f"{prefix}.{path}" if path else prefix: kind for path, kind in fields.items()}


def reads_only(operation: str) -> bool:
    """Whether an operation changes nothing; such an operation needs no table."""
    return operation.startswith(_READING)


@cache
def table() -> dict[str, dict[str, str]]:
    """Every operation's classes, from all modules of this package."""
    return _collect("FIELDS")


def kind_of(operation: str, path: str) -> str | None:
    """The class of a member, from its own entry or the nearest one above it that covers what is below; else None."""
    fields = table().get(operation, {})
    if path in fields:
        return fields[path]
    while "." in path:
        path = path.rpartition(".")[0]
        if path in fields:
            return fields[path] if fields[path] != EXECUTED else None
    return None


def members(shape: Shape, at: str = "") -> Iterator[str]:
    """The path of every member of a request shape, through structures and lists, up to maps."""
    if shape.type_name == "list":
        yield from members(shape.member, at)  # type: ignore[attr-defined]
    elif shape.type_name == "structure":
        for name, member in shape.members.items():  # type: ignore[attr-defined]
            path = f"{at}.{name}" if at else name
            yield path
            yield from members(member, path)


def refuse(call: Call) -> None:
    """Refuse a request that carries a member of class ``refused`` with a value that is not empty or false.

    Raises:
        ValidationException: names the first such member, and a hint where the table has one (``HINTS``).
    """
    for path in _refused(call.operation):
        if any(_says_something(value) for value in values(call.request, path)):
            raise not_executed(call.operation, path, _collect_hints().get(call.operation, {}).get(path, ""))


def values(request: Any, path: str) -> Iterator[Any]:
    """The values at a dotted path of a request; a list on the way gives one value for each of its members."""
    if isinstance(request, list):
        for item in request:
            yield from values(item, path)
    elif isinstance(request, dict):
        name, _, rest = path.partition(".")
        if name in request:
            if rest:
                yield from values(request[name], rest)
            else:
                yield request[name]


def _says_something(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {})


@cache
def _refused(operation: str) -> tuple[str, ...]:
    return tuple(path for path, kind in table().get(operation, {}).items() if kind == REFUSED)


@cache
def _collect_hints() -> dict[str, dict[str, str]]:
    return _collect("HINTS")


def _collect(name: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for operation, fields in getattr(module, name, {}).items():
            if operation in found:
                raise RuntimeError(f"{operation} has two tables of fields")
            found[operation] = fields
    return found

"""``attributes.csv``: path, group, target, and one column a slice."""

from __future__ import annotations

import csv
import difflib
import io
import math
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from contracts.dataset import ATTRIBUTES_CSV, RESERVED_COLUMNS
from contracts.errors import DataError

#: At most this many wrong lines are shown.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Attributes:
    """What one line says. ``target`` is the probability of the positive class, or None."""

    group: str = ""
    target: float | None = None
    slices: Mapping[str, str] = field(default_factory=dict)


NONE = Attributes()


@dataclass(frozen=True, slots=True)
class Table:
    """The whole file: slice columns in the file's order, and a line for each path (Unicode NFC)."""

    slice_columns: tuple[str, ...]
    lines: Mapping[str, Attributes]


def parse(data: bytes, known: Collection[str], classes: int) -> Table:
    """Read the file; ``known`` are the paths that exist, ``classes`` is how many classes there are.

    Raises:
        DataError: with the line and what is allowed, for the first ten wrong lines.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{ATTRIBUTES_CSV} is not UTF-8 text: {error}", "Save it as UTF-8.") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        columns = _columns(header)
        lines: dict[str, Attributes] = {}
        problems: list[str] = []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            _read_line(row, reader.line_num, header, columns, known, classes, lines, problems)
    except csv.Error as error:
        raise DataError(
            f"{ATTRIBUTES_CSV}:{reader.line_num}: not CSV: {error}", "Check the quotes in that line."
        ) from None
    if problems:
        shown = problems[:_SHOWN] + ([f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else [])
        raise DataError(
            f"{ATTRIBUTES_CSV} has {len(problems)} wrong line{'s' if len(problems) > 1 else ''}",
            "\n".join(f"  {problem}" for problem in shown)
            + "\npath is <class name>/<image>; target is a number from 0 to 1 (two classes only). Correct the lines, or"
            " remove them.",
        )
    return Table(columns, lines)


def _columns(header: list[str]) -> tuple[str, ...]:
    if "path" not in header:
        found = ", ".join(repr(name) for name in header) or "nothing"
        hint = " The separator is a comma, not a semicolon." if any(";" in name for name in header) else ""
        raise DataError(
            f"{ATTRIBUTES_CSV} has no column path (its first line has {found})",
            f"The first line names the columns: path, and any of group, target, and names of slices.{hint}",
        )
    if "" in header or len(set(header)) != len(header):
        raise DataError(f"{ATTRIBUTES_CSV}: two columns have the same name, or one has none: {', '.join(header)}")
    return tuple(name for name in header if name not in RESERVED_COLUMNS)


def _read_line(
    row: list[str],
    number: int,
    header: list[str],
    columns: tuple[str, ...],
    known: Collection[str],
    classes: int,
    lines: dict[str, Attributes],
    problems: list[str],
) -> None:
    where = f"{ATTRIBUTES_CSV}:{number}: "
    if len(row) != len(header):
        problems.append(f"{where}{len(row)} values, but {len(header)} columns")
        return
    values = dict(zip(header, (cell.strip() for cell in row), strict=True))
    path = unicodedata.normalize("NFC", values["path"].replace("\\", "/").removeprefix("./"))
    if path not in known:
        near = difflib.get_close_matches(path, known, 1, cutoff=0.8) if len(problems) < _SHOWN else []
        problems.append(f"{where}there is no image {path!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return
    if path in lines:
        problems.append(f"{where}{path!r} has a line already")
        return
    target: float | None = None
    if values.get("target"):
        target = _target(values["target"])
        if target is None:
            problems.append(f"{where}target {values['target']!r} is not a number from 0 to 1")
            return
        if classes != 2:
            problems.append(f"{where}target is for two classes; there are {classes}")
            return
    slices = {name: values[name] for name in columns if values[name]}
    lines[path] = Attributes(values.get("group", ""), target, slices)


def _target(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None

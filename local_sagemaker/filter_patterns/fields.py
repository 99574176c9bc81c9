"""Patterns for space-delimited events: ``[ip, user, ..., status = 4* || status = 5*, bytes > 1000]``.

What stands between square brackets or double quotes is one field of the event. The last name takes all that is left of
it (``[w1=ERROR, w2]``: the first word is ERROR); an ellipsis stands for any number of fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from local_sagemaker.filter_patterns.expressions import BadPattern, Scanner, Test, alternatives, comparison
from local_sagemaker.filter_patterns.values import BadSelector, number_of

_NAME = re.compile(r"[A-Za-z_][\w\-]*")
_FIELD = re.compile(r'\[([^\]]*)\](?=\s|$)|"([^"]*)"(?=\s|$)|(\S+)')
_NUMBERED = re.compile(r"\$\d+")


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place of the pattern; ``name`` is empty when it has none."""

    name: str
    test: Test[str] | None


def parse(text: str) -> SpaceDelimited:
    """
    Raises:
        BadPattern: no pattern of fields.
    """
    scanner = Scanner(text)
    scanner.expect("[")
    before: list[_Slot] = []
    after: list[_Slot] | None = None
    while True:
        if scanner.take("...") or scanner.take("…"):
            if after is not None:
                raise scanner.wrong("there may be one ellipsis")
            after = []
        else:
            (before if after is None else after).append(_slot(scanner))
        if not scanner.take(","):
            break
    scanner.expect("]")
    scanner.end()
    names = [slot.name for slot in [*before, *(after or [])] if slot.name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadPattern(f"Invalid filter pattern: the field {twice[0]} is named twice")
    return SpaceDelimited(before, after)


class SpaceDelimited:
    """A pattern for space-delimited events. ``after``: the places after an ellipsis; None when there is none."""

    def __init__(self, before: list[_Slot], after: list[_Slot] | None) -> None:
        self._before = before
        self._after = after

    def match(self, message: str) -> Fields | None:
        places = self._places(message)
        if places is None:
            return None
        named: dict[str, str] = {}
        for number, (slot, value) in enumerate(places, 1):
            if slot is not None and slot.test is not None and not slot.test(value):
                return None
            named[f"${slot.name}" if slot is not None and slot.name else f"${number}"] = value
        return Fields(named)

    def check_selector(self, selector: str) -> None:
        names = [f"${slot.name}" for slot in [*self._before, *(self._after or [])] if slot.name]
        if selector not in names and not _NUMBERED.fullmatch(selector):
            raise BadSelector(f"{selector} is none of the pattern's fields: {', '.join(names)}")

    def _places(self, message: str) -> list[tuple[_Slot | None, str]] | None:
        """Each field of the event with its place in the pattern; None: it has too few, or too many."""
        found = list(_FIELD.finditer(message))
        values = [next(group for group in match.groups() if group is not None) for match in found]
        before, after = self._before, self._after
        if after is not None:
            hidden = len(values) - len(before) - len(after)
            return list(zip([*before, *[None] * hidden, *after], values, strict=True)) if hidden >= 0 else None
        if len(values) < len(before):
            return None
        if len(values) > len(before):
            values[len(before) - 1 :] = [message[found[len(before) - 1].start() :].rstrip()]
        return list(zip(before, values, strict=True))


class Fields:
    """A space-delimited event that matches."""

    def __init__(self, extracted: dict[str, str]) -> None:
        self.extracted = extracted

    def value(self, selector: str) -> str | float | None:
        return self.extracted.get(selector)


def _slot(scanner: Scanner) -> _Slot:
    """One place: nothing, a name, or conditions on a name."""
    scanner.skip()
    start = scanner.at
    name = scanner.find(_NAME)
    scanner.skip()
    following = scanner.text[scanner.at : scanner.at + 1]
    if following in (",", "]") and following:
        return _Slot(name[0] if name else "", None)
    scanner.at = start
    names: list[str] = []

    def leaf(inner: Scanner) -> Test[str]:
        found = inner.find(_NAME)
        if found is None:
            raise inner.wrong("the name of a field is expected")
        names.append(found[0])
        sign, wanted = comparison(inner)

        def test(value: str) -> bool:
            number = number_of(value) if wanted.number is not None else None
            return wanted.holds(sign, value if number is None else number)

        return test

    condition = alternatives(scanner, leaf)
    if len(set(names)) > 1:
        raise BadPattern(f"Invalid filter pattern: one field is called {' and '.join(dict.fromkeys(names))}")
    return _Slot(names[0], condition)

"""Which image is for training, validation or test: balanced over class and slices, whole groups only, and repeatable.

Units are dealt one after the other, the largest first, each to the split where it most lowers chi-square over all
features (the class, the class within each slice value, all of them joined), that is the sum over features and splits of
``(images - expected)² / expected``. What was assigned before stays where it is and counts. At last, moves and swaps of
groups lower chi-square further. The idea is scikit-learn's StratifiedGroupKFold (greedy, largest group first) with
shares in place of folds; neither it nor any library is needed, so that the same seed gives the same split for ever.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.dataset import SPLITS, TEST, TRAIN, VALIDATION
from contracts.errors import DataError

GROUP, RANDOM = "group", "random"

#: A slice with more values than this is no property to balance over (a serial number, a date).
_MAX_SLICE_VALUES = 50
#: Moves and swaps are tried among at most this many units (the largest): beyond, dealing alone is even.
_MAX_REFINED = 300
_MAX_ROUNDS = 50
#: What a class missing from a split costs; more than any unevenness.
_MISSING = 1e9

Features = Counter[int]


@dataclass(frozen=True, slots=True)
class Item:
    """What the split needs to know of one image."""

    path: str
    sha256: str
    label: str
    group: str = ""
    target: float | None = None
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """What is assigned as a whole: a group, or one image (``group`` is empty, then path and sha256 name it)."""

    group: str
    path: str = ""
    sha256: str = ""


def shares(test_share: float, validation_share: float) -> dict[str, float]:
    """Split -> share of all images. Validation is cut from what is not test."""
    rest = 1 - test_share
    return {TRAIN: rest * (1 - validation_share), VALIDATION: rest * validation_share, TEST: test_share}


def units(items: Iterable[Item], protocol: str) -> dict[Unit, list[Item]]:
    """The units of a protocol: whole groups (images without one are groups of their own), or single images."""
    found: dict[Unit, list[Item]] = defaultdict(list)
    for item in items:
        whole = protocol == GROUP and item.group
        found[Unit(item.group) if whole else Unit("", item.path, item.sha256)].append(item)
    return dict(found)


def assign(
    items: Sequence[Item], protocol: str, share: Mapping[str, float], seed: int, fixed: Mapping[Unit, str] | None = None
) -> dict[Unit, str]:
    """The split of every unit. ``fixed`` ones keep theirs; equal arguments give an equal answer.

    Raises:
        DataError: a class is in too few groups to be in every split.
    """
    members = units(items, protocol)
    table = _Features(items)
    counts = {unit: table.of(content) for unit, content in members.items()}
    deal = _Deal(table, share)
    answer: dict[Unit, str] = {}
    for unit, split in (fixed or {}).items():
        if unit in counts:
            answer[unit] = split
            deal.add(counts[unit], split)
    new = sorted(
        (unit for unit in counts if unit not in answer), key=lambda unit: (-len(members[unit]), _shuffle(unit, seed))
    )
    for unit in new:
        answer[unit] = min(SPLITS, key=lambda split: deal.cost_of_adding(counts[unit], split))
        deal.add(counts[unit], answer[unit])
    _refine(new[:_MAX_REFINED], counts, answer, deal)
    _require_every_class(members, answer)
    return answer


def _shuffle(unit: Unit, seed: int) -> bytes:
    """A place in an order that depends on the seed and the unit's name alone, not on what else there is."""
    return hashlib.sha256(f"{seed}\0{unit.group}\0{unit.path}".encode()).digest()


class _Features:
    """Numbers for what is balanced: 0 is every image, then classes, then class within slice value, then all joined."""

    def __init__(self, items: Sequence[Item]) -> None:
        values: dict[str, set[str]] = defaultdict(set)
        for item in items:
            for name, value in item.slices.items():
                values[name].add(value)
        self._columns = sorted(name for name, found in values.items() if 2 <= len(found) <= _MAX_SLICE_VALUES)
        self._numbers: dict[tuple[str, ...], int] = {("",): 0}
        self._cached: dict[tuple[object, ...], tuple[int, ...]] = {}
        self.classes = {self._number("class", label) for label in sorted({item.label for item in items})}
        self.totals = self.of(items)

    def _number(self, *name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def of(self, items: Iterable[Item]) -> Features:
        """Feature -> images."""
        found: Features = Counter()
        for item in items:
            found.update(self._of_one(item))
        return found

    def _of_one(self, item: Item) -> tuple[int, ...]:
        values = tuple(item.slices.get(name, "") for name in self._columns)
        key = (item.label, item.target, values)
        features = self._cached.get(key)
        if features is None:
            target = "" if item.target is None else f"{item.target:.1f}"
            sliced = (
                self._number("slice", name, value, item.label)
                for name, value in zip(self._columns, values, strict=True)
            )
            joined = self._number("joined", item.label, target, *values)
            features = self._cached[key] = (0, self._number("class", item.label), *sliced, joined)
        return features


class _Deal:
    """Images per feature and split so far, and what a change would cost in chi-square."""

    def __init__(self, table: _Features, share: Mapping[str, float]) -> None:
        self._classes = table.classes
        self._have: dict[str, Features] = {split: Counter() for split in SPLITS}
        self._expected = {
            split: {feature: share[split] * total for feature, total in table.totals.items()} for split in SPLITS
        }

    def add(self, unit: Features, split: str) -> None:
        self._have[split].update(unit)

    def take(self, unit: Features, split: str) -> None:
        self._have[split].subtract(unit)

    def cost_of_adding(self, unit: Features, split: str) -> float:
        """The change of chi-square; a class that the split has not got yet is worth :data:`_MISSING`."""
        have, expected = self._have[split], self._expected[split]
        cost = 0.0
        for feature, count in unit.items():
            now = have[feature]
            cost += count * (2 * (now - expected[feature]) + count) / expected[feature]
            if not now and feature in self._classes:
                cost -= _MISSING
        return cost


def _refine(new: Sequence[Unit], counts: Mapping[Unit, Features], answer: dict[Unit, str], deal: _Deal) -> None:
    """Move or swap new units while that lowers chi-square; first what helps, in a fixed order."""
    for _ in range(_MAX_ROUNDS):
        better = False
        for index, unit in enumerate(new):
            home = answer[unit]
            deal.take(counts[unit], home)
            stay = deal.cost_of_adding(counts[unit], home)
            best = min(SPLITS, key=lambda split: deal.cost_of_adding(counts[unit], split))
            if best != home and deal.cost_of_adding(counts[unit], best) < stay - 1e-9:
                answer[unit] = best
                better = True
            deal.add(counts[unit], answer[unit])
            for other in new[index + 1 :]:
                better |= _swap(unit, other, counts, answer, deal)
        if not better:
            return


def _swap(one: Unit, two: Unit, counts: Mapping[Unit, Features], answer: dict[Unit, str], deal: _Deal) -> bool:
    home, away = answer[one], answer[two]
    if home == away or counts[one] == counts[two]:
        return False
    deal.take(counts[one], home)
    deal.take(counts[two], away)
    keep = deal.cost_of_adding(counts[one], home) + deal.cost_of_adding(counts[two], away)
    swap = deal.cost_of_adding(counts[one], away) + deal.cost_of_adding(counts[two], home)
    if swap < keep - 1e-9:
        home, away = away, home
    deal.add(counts[one], home)
    deal.add(counts[two], away)
    changed = answer[one] != home
    answer[one], answer[two] = home, away
    return changed


def _require_every_class(members: Mapping[Unit, Sequence[Item]], answer: Mapping[Unit, str]) -> None:
    present: dict[str, set[str]] = defaultdict(set)
    homes: Counter[str] = Counter()
    for unit, content in members.items():
        for label in {item.label for item in content}:
            present[label].add(answer[unit])
            homes[label] += 1
    for label in sorted(present):
        missing = [split for split in SPLITS if split not in present[label]]
        if missing:
            raise DataError(
                f"class {label!r} has no image for {' and '.join(missing)}: its images lie in {homes[label]} separate"
                f" group{'s' if homes[label] != 1 else ''} or image{'s' if homes[label] != 1 else ''}",
                "A class needs images in at least three groups (or three images that share no group), one for each of"
                " train, validation and test. Add images of it, or join it with another class.",
            )

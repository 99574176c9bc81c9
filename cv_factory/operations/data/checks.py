"""Which files can be used: each is decoded whole, within the limits, and no picture counts twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

import numpy as np

from contracts import hashing
from contracts.dataset import Dropped
from contracts.errors import DataError, RefusedError
from cv_factory.operations.data.index import Facts, Index
from cv_factory.operations.reporter import Reporter
from cv_factory.operations.sources import SourceImage
from inference.images import BadImage, Limits, decode, inspect

#: Images between two commits to the index: what an interruption may cost.
_BATCH = 256
#: At most this many files are listed in an error.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Usable:
    """An image that decodes, and what reading it told."""

    image: SourceImage
    facts: Facts


def facts_of(data: bytes, limits: Limits, version: str = "") -> Facts:
    """Decode an image file whole.

    Raises:
        BadImage: it is no image, damaged, or over a limit; limits are checked on the header.
    """
    info = inspect(data, limits)
    pixels = decode(data, info.mode, limits)
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return Facts(hashing.of_bytes(data), digest.hexdigest(), info.width, info.height, info.mode, version)


def check(
    images: Sequence[SourceImage], limits: Limits, index: Index, reporter: Reporter
) -> tuple[list[Usable], list[Dropped]]:
    """The usable images, in the order given, and those that cannot be used, with the reason.

    Files that did not change since an earlier import are not opened. An interrupted check goes on where it stopped.
    """
    known = index.known()
    facts: dict[str, Facts] = {}
    bad: dict[str, str] = {}
    unread: list[SourceImage] = []
    for image in images:
        stamp, earlier = known.pop(image.path, ("", None))
        if earlier is None or not stamp or stamp != image.stamp:
            unread.append(image)
        elif earlier.width * earlier.height > limits.max_pixels or image.size > limits.max_bytes:
            unread.append(image)  # the limits are tighter now: let the check say so
        else:
            facts[image.path] = earlier
    if known:
        index.forget(known)
    if unread:
        with reporter.phase("Checking images", len(unread)) as advance:
            found: dict[str, tuple[str, Facts]] = {}
            for image, verdict in _read_all(unread, limits):
                advance(1)
                if isinstance(verdict, str):
                    bad[image.path] = verdict
                    continue
                facts[image.path] = verdict
                if image.stamp:
                    found[image.path] = (image.stamp, verdict)
                if len(found) >= _BATCH:
                    index.add(found)
                    found = {}
            index.add(found)
    usable = [Usable(image, facts[image.path]) for image in images if image.path in facts]
    return usable, [Dropped(path, bad[path]) for path in sorted(bad)]


def _read_all(images: Iterable[SourceImage], limits: Limits) -> Iterator[tuple[SourceImage, Facts | str]]:
    """Facts or the reason of each image, as they come. Decoding releases the interpreter's lock, so threads do."""
    workers = min(16, 2 * (os.cpu_count() or 1))
    queue = iter(images)
    with ThreadPoolExecutor(workers, thread_name_prefix="check") as pool:
        running: dict[Future[Facts | str], SourceImage] = {}
        try:
            while True:
                for image in islice(queue, 2 * workers - len(running)):
                    running[pool.submit(_read, image, limits)] = image
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(image: SourceImage, limits: Limits) -> Facts | str:
    if image.size > limits.max_bytes:
        return f"{_mb(image.size)} MB; at most {_mb(limits.max_bytes)} MB are accepted (data.max_file_mb)"
    try:
        content = image.read()
        return facts_of(content.data, limits, content.version)
    except BadImage as error:
        hint = " (data.max_pixels)" if error.code == "too_many_pixels" else ""
        return error.message.rstrip(".") + hint
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def refuse_if_too_many(bad: Sequence[Dropped], total: int, share: float) -> None:
    """Stop an import whose share of bad files is above ``share`` (``data.bad_file_share``).

    Raises:
        RefusedError: with the files, why each is bad, and the way out.
    """
    if bad and len(bad) > share * total:
        raise RefusedError(
            f"{len(bad)} of {total} files cannot be used ({len(bad) / total:.1%}; data.bad_file_share is {share:.1%})",
            _listed(f"{item.path}: {item.reason}" for item in bad)
            + "\nRepair or remove these files. To leave them out and go on, raise data.bad_file_share in factory.yaml.",
        )


def without_duplicates(usable: Sequence[Usable]) -> tuple[list[Usable], list[Dropped]]:
    """Each picture once: of those with the same pixels (or bytes) and label the first by path stays.

    Raises:
        DataError: the same picture has two labels; the pairs are listed.
    """
    first: dict[str, Usable] = {}
    kept: list[Usable] = []
    dropped: list[Dropped] = []
    contradictions: list[str] = []
    for item in sorted(usable, key=lambda item: item.image.path):
        other = first.setdefault(item.facts.pixels, item)
        if other is item:
            kept.append(item)
        elif other.image.label == item.image.label:
            dropped.append(Dropped(item.image.path, f"the same picture as {other.image.path}"))
        else:
            contradictions.append(f"{other.image.path} = {item.image.path}")
    if contradictions:
        raise DataError(
            f"{len(contradictions)} picture{'s have' if len(contradictions) > 1 else ' has'} two labels",
            _listed(contradictions) + "\nKeep each picture in one class folder only.",
        )
    return kept, dropped


def require_classes(listed: Mapping[str, int], usable: Sequence[Usable], where: str) -> tuple[str, ...]:
    """The classes, sorted.

    Raises:
        DataError: fewer than two, or a class without a usable image.
    """
    counts = dict.fromkeys(sorted(listed), 0)
    for item in usable:
        counts[item.image.label] += 1
    empty = [name for name, count in counts.items() if not count]
    if empty:
        some = "; none of its files can be used" if any(listed[name] for name in empty) else ""
        raise DataError(
            f"{where}: class {', '.join(repr(name) for name in empty)} has no image{some}",
            "Add images of it, or remove the folder. A file is an image by its suffix: .jpg, .jpeg, .png, .webp.",
        )
    if len(counts) < 2:
        raise DataError(
            f"{where} has one class only, {', '.join(map(repr, counts))}",
            "A classifier needs at least two: one folder for each class, <folder>/<class name>/<image>.",
        )
    return tuple(counts)


def positive_class(wanted: str, own: str, classes: tuple[str, ...], usable: Sequence[Usable]) -> str | None:
    """What precision and recall speak of: the setting, else what the source says, else the rarer of two classes.

    Raises:
        DataError: the setting names no class, there are more than two, or the targets speak of the other class.
    """
    if wanted and wanted not in classes:
        raise DataError(
            f"data.positive_class is {wanted!r}, which is no class of this data",
            f"Classes: {', '.join(classes)}. Leave it empty to take the rarer of two.",
        )
    if len(classes) != 2:
        if wanted:
            raise DataError(
                f"data.positive_class is {wanted!r}, but there are {len(classes)} classes",
                "A positive class is for two classes. Leave data.positive_class empty.",
            )
        return None
    counts = {name: sum(item.image.label == name for item in usable) for name in classes}
    chosen = wanted or own or min(classes, key=lambda name: (counts[name], name))
    targets: dict[bool, list[float]] = {True: [], False: []}
    for item in usable:
        if item.image.target is not None:
            targets[item.image.label == chosen].append(item.image.target)
    if all(targets.values()):
        mean = {side: sum(values) / len(values) for side, values in targets.items()}
        if mean[True] < mean[False]:
            other = next(name for name in classes if name != chosen)
            raise DataError(
                f"target is the probability of {chosen!r}, but it is lower for {chosen!r} (mean {mean[True]:.2f})"
                f" than for {other!r} (mean {mean[False]:.2f})",
                f"Set data.positive_class: {other} in factory.yaml, or write 1 - target into attributes.csv.",
            )
    return chosen


def _listed(lines: Iterable[str]) -> str:
    every = list(lines)
    shown = [f"  {line}" for line in every[:_SHOWN]]
    return "\n".join([*shown, f"  and {len(every) - _SHOWN} more"] if len(every) > _SHOWN else shown)


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}".removesuffix(".0")

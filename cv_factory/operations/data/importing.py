"""The whole import: list, check, split, upload, seal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import hashing
from contracts.dataset import BLOBS_PREFIX, SPLITS, Dropped, ImportedDataset, ImportedImage, blob_key
from contracts.errors import FactoryError
from contracts.s3uri import S3Uri
from contracts.settings import Settings
from cv_factory.operations import sources
from cv_factory.operations.data import checks, frozen, publish, sheet
from cv_factory.operations.data.checks import Usable
from cv_factory.operations.data.frozen import Frozen, Identity
from cv_factory.operations.data.index import Index
from cv_factory.operations.data.split import GROUP, Item
from cv_factory.operations.reporter import Reporter
from cv_factory.operations.sources import Source
from deployment import aws
from inference.images import Limits

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any

#: Names of this many files that were left out or ignored are told.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        uri: the dataset's prefix, with a slash at the end.
        created: False when this very dataset was there already.
        sent: files and bytes uploaded.
        sheet: the picture of some images of every class.
        ignored: files that are no images.
        other_splits: splits of the same source with another protocol, share or seed.
        seconds: wall time of each part.
    """

    uri: S3Uri
    dataset: ImportedDataset
    created: bool
    sent: tuple[int, int]
    sheet: Path
    split: Frozen
    ignored: tuple[str, ...]
    other_splits: tuple[Identity, ...]
    notice: str
    seconds: dict[str, float] = field(default_factory=dict)

    def counts(self) -> dict[str, dict[str, int]]:
        """Class -> split -> images."""
        found = Counter((image.label, image.split) for image in self.dataset.images)
        return {label: {split: found[label, split] for split in SPLITS} for label in self.dataset.classes}

    def to_json(self) -> dict[str, Any]:
        data = self.dataset
        return {
            "dataset_uri": str(self.uri),
            "dataset_hash": data.hash,
            "created": self.created,
            "source": data.source,
            "licence": data.licence,
            "protocol": data.protocol,
            "split_id": data.split_id,
            "positive_class": data.positive_class,
            "classes": self.counts(),
            "images": len(data.images),
            "bytes": sum(image.size for image in data.images),
            "uploaded": {"images": self.sent[0], "bytes": self.sent[1]},
            "dropped": [{"path": item.path, "reason": item.reason} for item in data.dropped],
            "ignored": list(self.ignored),
            "sheet": str(self.sheet),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


def import_data(
    source_text: str, *, settings: Settings, base: Path, state: Path, client: Callable[[str], Any], reporter: Reporter
) -> Imported:
    """Import a source into the environment's data bucket.

    Args:
        source_text: ``elpv``, ``s3://…`` or a folder, relative to ``base``.
        state: the state folder; the index of checked files and the sheet are kept there.
        client: makes a boto3 client by service name.

    Raises:
        FactoryError: as the steps do; whatever happens, no prefix looks complete that is not.
    """
    seconds: dict[str, float] = {}
    s3: S3Client = client("s3")
    bucket = settings.names.data_bucket
    with _timed(seconds, "list"):
        source = sources.open_source(source_text, base, client)
        if source.notice:
            reporter.say(source.notice)
    limits = Limits(settings.data.max_file_mb * 1_000_000, settings.data.max_pixels)
    with _timed(seconds, "check"):
        usable, dropped = _check(source, settings, limits, state, reporter)
        classes = checks.require_classes(source.classes, usable, source.identity)
        positive = checks.positive_class(settings.data.positive_class, source.positive_class, classes, usable)
        picture = _sheet(state, usable, classes, limits, reporter)
    with _timed(seconds, "split"), _bucket_there(bucket, settings.env):
        identity = Identity.of(source.identity, settings.data)
        if identity.protocol == GROUP and not any(each.image.group for each in usable):
            reporter.say(
                "No image has a group, so each counts as a group of its own. Where several images show one object, name"
                " it in attributes.csv (columns path, group); else the figures flatter."
            )
        split = frozen.freeze(s3, bucket, identity, [_item(each) for each in usable])
        others = tuple(frozen.earlier(s3, bucket, identity)) if split.first else ()
        _tell_split(split, identity, others, reporter)
    root = source.in_place or S3Uri(bucket, BLOBS_PREFIX)
    dataset = ImportedDataset(
        source=source.identity,
        image_root=str(root),
        classes=classes,
        positive_class=positive,
        protocol=identity.protocol,
        test_share=identity.test_share,
        seed=identity.seed,
        split_id=identity.id,
        slice_columns=source.slice_columns,
        images=tuple(_imported(each, split, in_place=source.in_place is not None) for each in usable),
        dropped=tuple(dropped),
        licence=source.licence,
    )
    uri = S3Uri(bucket, publish.prefix(dataset))
    sent = (0, 0)
    with _timed(seconds, "upload"):
        created = not publish.is_complete(s3, bucket, dataset)
        if created:
            if source.in_place is None:
                sent = publish.upload(s3, bucket, _blobs(usable), reporter)
            created = publish.seal(s3, bucket, dataset)
        _point(s3, bucket, identity, uri, dataset)
    return Imported(uri, dataset, created, sent, picture, split, source.ignored, others, source.notice, seconds)


def latest(settings: Settings, base: Path, client: Callable[[str], Any]) -> tuple[S3Uri, str]:
    """URI and hash of the dataset that ``data.source`` was imported as last, with the split the settings ask for.

    Raises:
        FactoryError: it was not imported yet; says how.
    """
    identity = Identity.of(sources.identity(settings.data.source, base), settings.data)
    value = aws.read_json(client("s3"), settings.names.data(identity.prefix + frozen.LATEST_JSON))
    if value is None:
        raise FactoryError(
            f"{settings.data.source} is not imported yet ({identity})",
            f"Run: cv-factory data import {settings.data.source}",
        )
    return S3Uri.parse(value["dataset_uri"]), value["dataset_hash"]


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[part] = time.monotonic() - start


@contextmanager
def _bucket_there(bucket: str, env: str) -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        how = "cv-factory local up" if env == "local" else f"cv-factory --env {env} infra apply"
        raise FactoryError(
            f"there is no bucket {bucket}", f"The base of environment {env} is missing. Run: {how}"
        ) from None


def _check(
    source: Source, settings: Settings, limits: Limits, state: Path, reporter: Reporter
) -> tuple[list[Usable], list[Dropped]]:
    index = Index(state / "images.sqlite", source.identity)
    usable, broken = checks.check(source.images, limits, index, reporter)
    bad = [*source.bad, *broken]
    checks.refuse_if_too_many(bad, len(source.images) + len(source.bad), settings.data.bad_file_share)
    usable, twice = checks.without_duplicates(usable)
    for title, items in (("unusable", bad), ("a duplicate", twice)):
        for item in items[:_SHOWN]:
            reporter.say(f"Left out as {title}: {item.path}: {item.reason}")
        if len(items) > _SHOWN:
            reporter.say(f"Left out as {title}: {len(items) - _SHOWN} more; the dataset's manifest lists them all.")
    if source.ignored:
        some = ", ".join(source.ignored[:_SHOWN]) + (", …" if len(source.ignored) > _SHOWN else "")
        reporter.say(f"Not images, ignored: {some}")
    return usable, sorted([*bad, *twice], key=lambda item: item.path)


def _sheet(state: Path, usable: Sequence[Usable], classes: tuple[str, ...], limits: Limits, reporter: Reporter) -> Path:
    """The sheet's file, named after what it shows; drawn unless it is there."""
    name = hashing.of_value([[item.image.path, item.facts.sha256] for item in usable])[: hashing.SHORT]
    file = state / "reports" / f"images-{name}.png"
    if not file.is_file():
        sheet.draw(file, usable, classes, limits)
    reporter.say(f"Sheet of images: {file}")
    return file


def _item(each: Usable) -> Item:
    image = each.image
    return Item(image.path, each.facts.sha256, image.label, image.group, image.target, image.slices)


def _imported(each: Usable, split: Frozen, *, in_place: bool) -> ImportedImage:
    image, facts = each.image, each.facts
    return ImportedImage(
        path=image.path,
        key=image.path if in_place else blob_key(facts.sha256, image.path),
        label=image.label,
        size=image.size,
        sha256=facts.sha256,
        width=facts.width,
        height=facts.height,
        mode=facts.mode,
        split=split.split_of[image.path],
        group=image.group,
        target=image.target,
        slices=dict(image.slices),
        version=facts.version if in_place else "",
    )


def _blobs(usable: Sequence[Usable]) -> list[publish.Blob]:
    return [
        publish.Blob(blob_key(each.facts.sha256, each.image.path), each.facts.sha256, each.image.path, each.image.read)
        for each in usable
    ]


def _tell_split(split: Frozen, identity: Identity, others: Sequence[Identity], reporter: Reporter) -> None:
    if split.first:
        reporter.say(f"New split {identity.id}: {identity}. It is frozen now: later imports only add to it.")
        if others:
            reporter.say(
                "Another split of this source exists: "
                + "; ".join(f"{other.id} ({other})" for other in others)
                + ". Figures of models from different splits are not comparable as they stand."
            )
    elif split.added:
        reporter.say(f"Split {identity.id} ({identity}) kept; {split.added} new groups or images were assigned.")
    else:
        reporter.say(f"Split {identity.id} ({identity}) kept as it was frozen.")


def _point(s3: S3Client, bucket: str, identity: Identity, uri: S3Uri, dataset: ImportedDataset) -> None:
    """Remember which dataset this source and split were imported as last, for ``pipeline start`` on another machine."""
    where = S3Uri(bucket, identity.prefix + frozen.LATEST_JSON)
    aws.write_json(s3, where, {"dataset_uri": str(uri), "dataset_hash": dataset.hash})

"""A person's wish that a roll-out has neither guards nor waits (``rollback --now``): ``release/at-once.json``.

It is written before anything is done, and holds for the one configuration that was desired then, until the release that
rolled it out is closed: whatever the checks wait for, and whoever finishes the run. Once another is desired it is
forgotten. It is written over, not deleted: the deployer may delete pins and attempts only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from contracts.release import AT_ONCE_KEY, ReleaseSettings
from deployment import aws, log

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted at once.

    Attributes:
        endpoint_config: the configuration's name: of the desired package, on the settings' instance type.
        release_id: of the release that fulfils it; empty until that is opened.
    """

    endpoint_config: str
    release_id: str = ""


def read(s3: S3Client, settings: ReleaseSettings) -> Wish | None:
    """None where nothing is wanted at once, or what is there is no wish of this version."""
    value = aws.read_json(s3, settings.names.artifacts(AT_ONCE_KEY))
    try:
        return Wish(**value) if value else None
    except TypeError:
        return None


def write(s3: S3Client, settings: ReleaseSettings, wish: Wish) -> None:
    aws.write_json(s3, settings.names.artifacts(AT_ONCE_KEY), asdict(wish))
    log.event("wanted at once", endpoint_config=wish.endpoint_config, release_id=wish.release_id)


def forget(s3: S3Client, settings: ReleaseSettings) -> None:
    aws.write_json(s3, settings.names.artifacts(AT_ONCE_KEY), {})

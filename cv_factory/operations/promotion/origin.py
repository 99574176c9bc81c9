"""Which environment a package comes from, and with whose credentials it is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contracts.errors import FactoryError, RefusedError, SettingsError, UsageError
from contracts.names import Names
from contracts.settings import DEFAULT_ENV, environments, load
from cv_factory.session import Target

if TYPE_CHECKING:
    import boto3

    from contracts.settings import Settings

_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]+):(\d{12}):model-package/([^/]+)/\d+")


def is_elsewhere(target: Target, package: str | None) -> bool:
    """Whether ``package`` is the ARN of a package of another environment, account or region."""
    found = _ARN.fullmatch((package or "").strip())
    if found is None:
        return False
    return found.groups() != _where(target.settings.names)


def source(target: Target, package: str, profile: str | None) -> Target:
    """The environment of the settings file that a package belongs to, to be read only.

    Args:
        profile: of ``~/.aws/config``, for the source; None: the credentials of the target, which the source's
            ``release.readers`` must let in where it is another account.

    Raises:
        UsageError: no environment of the file has that group.
        RefusedError: it is of the laptop, or the profile is of another account.
    """
    found = _ARN.fullmatch(package.strip())
    if found is None:
        raise UsageError(f"{package!r} is no ARN of a model package")
    settings = _settings(target, found.groups())
    if settings.env == DEFAULT_ENV or target.settings.env == DEFAULT_ENV:
        raise RefusedError(
            f"a package of environment {settings.env} is not promoted to {target.settings.env}",
            "What a laptop made has no signed images and no record. Train in an environment of AWS, and promote that.",
        )
    return Target(settings, target.file, target.endpoint, _session(target, settings, profile))


def _settings(target: Target, wanted: tuple[str, ...]) -> Settings:
    known = []
    for env in environments(target.file):
        try:
            settings = load(target.file, env)
        except SettingsError:
            continue  # another environment's mistake is not this command's
        if _where(settings.names) == wanted:
            return settings
        known.append(settings.names.package_group)
    region, account, group = wanted
    raise UsageError(
        f"no environment of {target.file.name} has the group {group} of account {account} in {region}",
        f"Its environments have: {', '.join(known)}. Name the source in the same file, with its aws.account_id.",
    )


def _where(names: Names) -> tuple[str, str, str]:
    return names.region, names.account_id, names.package_group.lower()


def _session(target: Target, settings: Settings, profile: str | None) -> boto3.Session:
    import boto3
    from botocore.exceptions import BotoCoreError, ProfileNotFound

    region = settings.aws.region
    if profile is None:
        return target.session if region == target.settings.aws.region else _in_region(target.session, region)
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        account = session.client("sts").get_caller_identity()["Account"]
    except ProfileNotFound as error:
        raise FactoryError(str(error), "Name a profile of ~/.aws/config that may read the source.") from None
    except BotoCoreError as error:
        raise FactoryError(f"the profile {profile} does not work: {error}", "Sign in again: aws sso login.") from None
    if account != settings.aws.account_id:
        raise RefusedError(
            f"the profile {profile} is of account {account}; environment {settings.env} is account"
            f" {settings.aws.account_id}",
            "Name a profile of the source's account, or leave --from-profile out.",
        )
    return session


def _in_region(session: boto3.Session, region: str) -> boto3.Session:
    """The same credentials in another region; the session itself keeps its own."""
    import boto3

    found = session.get_credentials()
    if found is None:
        raise FactoryError("there are no AWS credentials", "Sign in (aws sso login), or set AWS_PROFILE.")
    keys = found.get_frozen_credentials()
    return boto3.Session(keys.access_key, keys.secret_key, keys.token, region_name=region)

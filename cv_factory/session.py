"""The target of a command: one environment's settings, and clients for the account they name.

For env ``local`` the endpoint, the region and throw-away keys come from the running local SageMaker; whatever AWS
configuration the shell has is ignored. For every other environment boto3 resolves credentials and endpoint as always
(``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, …), and nothing is done unless STS says that the account is the settings' one.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import FactoryError, RefusedError
from contracts.settings import DEFAULT_ENV, Settings
from cv_factory.operations import state

if TYPE_CHECKING:
    import boto3

#: Keys that open nothing: the local SageMaker serves one account, whoever asks.
LOCAL_KEY, LOCAL_SECRET = "local", "local"
#: Parallel uploads share one client, so its pool has room for all of them.
_POOL = 32


@dataclass(frozen=True)
class Target:
    """Where a command acts. ``session`` is a boto3 session whose clients need no further argument.

    Attributes:
        file: the settings file; paths in it are relative to its folder.
        endpoint: for a person: a URL, or "AWS".
        state: the state folder of this environment.
    """

    settings: Settings
    file: Path
    endpoint: str
    session: boto3.Session
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def base(self) -> Path:
        return self.file.resolve().parent

    @property
    def state(self) -> Path:
        return state.folder(self.file, self.settings.env)

    @property
    def is_local(self) -> bool:
        return self.settings.env == DEFAULT_ENV

    def client(self, service: str) -> Any:
        """The one client of a service; safe to use from several threads."""
        if service not in self._clients:
            self._clients[service] = self.session.client(service)  # type: ignore[call-overload]
        return self._clients[service]

    def __str__(self) -> str:
        aws = self.settings.aws
        return (
            f"environment {self.settings.env}: account {aws.account_id}, region {aws.region}, endpoint {self.endpoint}"
        )


def open(settings: Settings, file: Path) -> Target:  # noqa: A001 (called as session.open)
    """The target of an environment.

    Raises:
        FactoryError: the local SageMaker is not running; no credentials.
        RefusedError: the credentials, or the local SageMaker, belong to another account.
    """
    return _local(settings, file) if settings.env == DEFAULT_ENV else _remote(settings, file)


def _local(settings: Settings, file: Path) -> Target:
    from local_sagemaker import control

    folder = state.folder(file, settings.env)
    server = control.status(folder)
    if server is None:
        raise FactoryError(f"the local SageMaker of {folder} is not running", "Start it: cv-factory local up")
    check_local_account(settings, server.account_id, server.region)
    return Target(settings, file, server.endpoint_url, local_session(server.endpoint_url, server.region))


def check_local_account(settings: Settings, account_id: str, region: str) -> None:
    """Refuse a local SageMaker that serves another account or region than the settings name."""
    wanted = (settings.aws.account_id, settings.aws.region)
    if (account_id, region) != wanted:
        raise RefusedError(
            f"the local SageMaker serves account {account_id} in {region}; environment {settings.env} is account"
            f" {wanted[0]} in {wanted[1]}",
            "Restart it with these settings: cv-factory local down, then cv-factory local up",
        )


def local_session(endpoint_url: str, region: str) -> boto3.Session:
    """A session that knows this endpoint only: no profile, configuration file, proxy or endpoint of the shell."""
    import boto3
    import botocore.session
    from botocore.config import Config

    core = botocore.session.Session(
        session_vars={
            name: (None, None, default, None)
            for name, default in {
                "profile": None,
                "config_file": os.devnull,
                "credentials_file": os.devnull,
                "ca_bundle": None,
                "use_fips_endpoint": False,
                "use_dualstack_endpoint": False,
                "sts_regional_endpoints": "regional",
            }.items()
        }
    )
    core.set_credentials(LOCAL_KEY, LOCAL_SECRET)
    plain = Config(
        proxies={},
        max_pool_connections=_POOL,
        retries={"mode": "standard", "total_max_attempts": 3},
        read_timeout=300,
        connect_timeout=5,
    )

    class LocalSession(boto3.Session):
        """Every client of it talks to the local SageMaker."""

        def client(self, service_name: str, **options: Any) -> Any:  # type: ignore[override]
            config = options.pop("config", None)
            options["config"] = plain.merge(config) if config is not None else plain
            options.setdefault("endpoint_url", endpoint_url)
            return super().client(service_name, **options)  # type: ignore[call-overload]

    return LocalSession(botocore_session=core, region_name=region)


def _remote(settings: Settings, file: Path) -> Target:
    import boto3
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

    name = settings.env
    try:
        core = botocore.session.Session()
        core.set_default_client_config(
            Config(max_pool_connections=_POOL, retries={"mode": "standard", "total_max_attempts": 5})
        )
        session = boto3.Session(botocore_session=core, region_name=settings.aws.region)
        account = session.client("sts").get_caller_identity()["Account"]
    except ProfileNotFound as error:
        raise FactoryError(str(error), "Set AWS_PROFILE to a profile of ~/.aws/config.") from None
    except NoCredentialsError:
        raise FactoryError(
            f"there are no AWS credentials for environment {name}",
            "Sign in (aws sso login), or set AWS_PROFILE. Without an AWS account: --env local.",
        ) from None
    except (BotoCoreError, ClientError) as error:
        raise _refused_by_sts(error, settings) from None
    if account != settings.aws.account_id:
        raise RefusedError(
            f"these credentials are of account {account}; environment {name} is account {settings.aws.account_id}",
            f"Switch credentials (AWS_PROFILE), name another environment (--env), or correct aws.account_id of {name}"
            f" in {file.name}.",
        )
    return Target(settings, file, _endpoint(session), session)


#: What STS says of credentials -> what that means, and what to do. STS API Reference, "Common errors".
_CREDENTIALS = {
    ("ExpiredToken", "ExpiredTokenException", "RequestExpired"): ("have expired", "Sign in again (aws sso login)."),
    ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"): (
        "are not valid here",
        "Were they deleted, or is the region {region} not switched on in this account? Sign in again, set AWS_PROFILE,"
        " or correct aws.region.",
    ),
    ("AccessDenied", "AccessDeniedException"): (
        "may not take their role",
        "A role that was just made cannot be taken for some seconds: try again. Else its trust policy must name you.",
    ),
}


def _refused_by_sts(error: Exception, settings: Settings) -> FactoryError:
    """Why nobody knows whose credentials these are, in one line."""
    from botocore import exceptions as aws

    region = settings.aws.region
    if isinstance(error, aws.ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        for codes, (what, hint) in _CREDENTIALS.items():
            if code in codes:
                return FactoryError(
                    f"the AWS credentials for environment {settings.env} {what} ({code})", hint.format(region=region)
                )
    if isinstance(error, aws.SSOError | aws.TokenRetrievalError | aws.CredentialRetrievalError):
        return FactoryError(
            f"the sign-in for environment {settings.env} has expired: {error}",
            "Sign in again: aws sso login (with --profile, if AWS_PROFILE is set).",
        )
    if isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError):
        return FactoryError(
            f"STS of region {region} does not answer: {error}",
            "Is aws.region a region of AWS? Else check the network, a proxy, and AWS_ENDPOINT_URL.",
        )
    return FactoryError(f"STS did not say whose credentials these are: {error}", "Sign in again.")


def _endpoint(session: boto3.Session) -> str:
    """``AWS``, or the URL that the configuration puts in its place."""
    url: str = session.client("sts").meta.endpoint_url
    return "AWS" if re.fullmatch(r"https://sts\.([a-z0-9-]+\.)?amazonaws\.com(\.cn)?", url) else url

"""The SageMaker SDK without AWS: a sealed environment, and a session that never calls.

What the SDK takes from its surroundings, and must not when the definition is a pure function:

- importing it asks for a region and, without keys, probes the instance metadata service;
- ``ModelTrainer`` simulates its role's policies (``iam:SimulatePrincipalPolicy``);
- defaults for every argument come from ``/etc/xdg/sagemaker`` and ``~/.config/sagemaker``;
- profiles and endpoints come from ``~/.aws`` and ``AWS_*``;
- telemetry (account id, text of exceptions) is on;
- importing it sets the root logger's level and handlers, and makes boto3's default session.
"""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contracts.settings import Settings

#: Opts out of telemetry and sets no default. It stands in for the administrator's and the user's file.
_SDK_CONFIG = Path(__file__).with_name("sagemaker_sdk.yaml")
_FOREIGN = ("AWS_", "SAGEMAKER_", "SM_", "BOTO_")
#: Never sent anywhere: botocore wants some before it makes a client.
_NO_KEY = "none"


@contextmanager
def sealed(region: str) -> Iterator[None]:
    """Inside, the SDK sees no AWS configuration but ``region`` and says nothing; afterwards all is as it was.

    It changes the process's environment for that time: nothing else that reads AWS variables may run beside it.
    """
    own = {
        "AWS_ACCESS_KEY_ID": _NO_KEY,
        "AWS_SECRET_ACCESS_KEY": _NO_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(_SDK_CONFIG),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(_SDK_CONFIG),
        "SAGEMAKER_VALIDATE_ROLE": "false",
    }
    saved = {name: value for name, value in os.environ.items() if name.startswith(_FOREIGN)}
    import boto3

    root = logging.getLogger()
    default_session, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, None
    level, handlers, disabled = root.level, root.handlers[:], root.manager.disable
    for name in saved:
        del os.environ[name]
    os.environ.update(own)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        boto3.DEFAULT_SESSION = default_session
        logging.disable(disabled)
        root.setLevel(level)
        root.handlers[:] = handlers
        for name in own:
            os.environ.pop(name, None)
        os.environ.update(saved)


@contextmanager
def recording(settings: Settings) -> Iterator[Any]:
    """A ``PipelineSession``, which records requests instead of sending them. Use it inside :func:`sealed`."""
    import boto3
    from sagemaker.core.config import config, config_manager
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    # The SDK checks the file above, and its own schema with it, at every look-up of a default: 56 times a build, more
    # CPU time than all the rest.
    checks = ((config, "validate_sagemaker_config"), (config_manager.SageMakerConfig, "validate_sagemaker_config"))
    saved = [vars(owner)[name] for owner, name in checks]
    for owner, name in checks:
        setattr(owner, name, staticmethod(lambda _=None: None))
    try:
        yield PipelineSession(
            boto_session=boto3.Session(_NO_KEY, _NO_KEY, region_name=settings.aws.region),
            # Without a bucket of ours the SDK would ask STS for the account, and not through AWS_ENDPOINT_URL.
            default_bucket=settings.names.artifact_bucket,
        )
    finally:
        for (owner, name), value in zip(checks, saved, strict=True):
            setattr(owner, name, value)

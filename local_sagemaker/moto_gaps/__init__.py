"""What moto's server lacks or gets wrong, filled in: one module per AWS service, each gap named where it is closed.

moto dispatches an action to the method of the same name of its responder class, so a method added there is a new
action. :func:`install` is called once, before the first request.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


#: Modules of this package with a function ``install(platform)``.
SERVICES = ("awslambda", "budgets", "cloudwatch", "events", "iam", "kms", "logs", "s3", "sqs")

#: The same, for services whose import takes long: installed before the first request to them.
LATER = ("applicationautoscaling", "ec2", "ecr", "servicequotas")


def install(platform: Platform) -> None:
    """Close every gap."""
    from local_sagemaker.faults import roles
    from local_sagemaker.moto_gaps import dispatch, s3_bodies

    dispatch.install()
    s3_bodies.install(platform.blobs)
    for service in SERVICES:
        _install(service, platform)
    roles.install(platform)


def uninstall() -> None:
    """Leave moto as it was: for a process in which moto lives on after its local SageMaker."""
    from local_sagemaker.moto_gaps import patching

    patching.restore()


def install_later(service: str, platform: Platform) -> None:
    """Close the gaps of a service of :data:`LATER`; of any other nothing is left to do."""
    if service in LATER:
        _install(service, platform)


def _install(service: str, platform: Platform) -> None:
    importlib.import_module(f"local_sagemaker.moto_gaps.{service}").install(platform)

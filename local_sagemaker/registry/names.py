"""Names and ARNs of the registry's resources.

SageMaker writes names in ARNs in lower case, so two names that differ in case only are one resource; the store's key is
the name in lower case.
"""

from __future__ import annotations

from local_sagemaker.api import Call

GROUP, PACKAGE = "model-package-group", "model-package"


def arn(call: Call, kind: str, name_or_arn: str) -> str:
    """The ARN of a resource of ``kind`` that the request names by name or by ARN."""
    return name_or_arn if name_or_arn.startswith("arn:") else call.arn(kind, name_or_arn)


def key(call: Call, kind: str, name_or_arn: str) -> str:
    """The store's key of a resource that the request names by name or by ARN; no key at all for a foreign ARN.

    A package's key is its name, or ``<group>/<version>``.
    """
    if not name_or_arn.startswith("arn:"):
        return name_or_arn.lower()
    prefix = call.arn(kind, "")
    return name_or_arn.removeprefix(prefix).lower() if name_or_arn.startswith(prefix) else ""

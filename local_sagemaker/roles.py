"""Credentials of IAM roles for what this server runs on their behalf."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from local_sagemaker import policies
from local_sagemaker.faults.eventual import is_assumable


class CannotAssume(Exception):
    """The role is not there, or its trust policy does not name the service; the message is AWS's."""


class Roles:
    """Assumes roles through moto's STS. One session serves a role for half its hour, so that sessions stay few."""

    def __init__(
        self,
        account_id: str,
        endpoint_url: Callable[[], str],
        changed: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._account_id = account_id
        self._endpoint_url = endpoint_url
        self._changed = changed
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str], tuple[float, Any]] = {}

    def check(self, role_arn: str, source_arn: str, service: str = "sagemaker.amazonaws.com") -> None:
        """Would AWS let ``service`` assume this role for the resource ``source_arn``?

        Raises:
            CannotAssume: no.
        """
        role = self.find(role_arn)
        if (
            role is None
            or not self._trusts(json.loads(role.assume_role_policy_document), service, source_arn)
            or not is_assumable(role, self._now())
        ):
            raise CannotAssume(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                f"'{service}' to assume the role."
            )

    def _trusts(self, policy: dict[str, Any], service: str, source_arn: str) -> bool:
        """Source: SageMaker Developer Guide, "Cross-service confused deputy prevention"."""
        context = {
            "aws:sourceaccount": self._account_id,
            "aws:sourcearn": source_arn,
            "aws:principalisawsservice": "true",
        }
        return policies.evaluate([policy], "sts:AssumeRole", "*", context, principals=[service]) == "Allow"

    def environment(self, role_arn: str, region: str, *, session_name: str = "SageMaker") -> dict[str, str]:
        """The variables with which an AWS SDK acts as this role, against this server, and nothing else.

        Raises:
            CannotAssume: there is no such role.
        """
        role = self.find(role_arn)
        if role is None or not is_assumable(role, self._now()):
            raise CannotAssume(f"Could not assume role {role_arn}. Please ensure that the role exists.")
        session = self._session(role_arn, region, session_name)
        return {
            "AWS_ACCESS_KEY_ID": session.access_key_id,
            "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
            "AWS_SESSION_TOKEN": session.session_token,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self._endpoint_url(),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def find(self, role_arn: str) -> Any:
        """moto's role of this ARN; None when there is none."""
        from moto.iam.models import iam_backends

        roles = iam_backends[self._account_id]["aws"].roles
        return next((role for role in roles.values() if role.arn == role_arn), None)

    def _session(self, role_arn: str, region: str, session_name: str) -> Any:
        from moto.core.utils import utcnow
        from moto.sts.models import sts_backends

        with self._lock:
            until, session = self._sessions.get((role_arn, session_name), (0.0, None))
            if time.monotonic() < until:
                return session
            backend = sts_backends[self._account_id]["aws"]
            session = backend.assume_role(
                region_name=region, role_session_name=session_name, role_arn=role_arn,
                policy="", duration=3600, external_id="",
            )  # fmt: skip
            now = utcnow()
            backend.assumed_roles[:] = [role for role in backend.assumed_roles if role.expiration > now]
            self._sessions[role_arn, session_name] = (time.monotonic() + 1800, session)
        self._changed("sts")
        return session

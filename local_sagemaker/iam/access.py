"""Decides about every call, refuses in AWS's words, and records what was asked.

Off until it is switched on (``PUT /_local/iam``): then every request and everything that this server does in a role is
decided by the policies in its own IAM. Recording works with and without enforcement.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.iam import authorisations, on_behalf, requests, resources
from local_sagemaker.iam.decisions import Decision, decide
from local_sagemaker.iam.needs import Context, Needed, key_arn
from local_sagemaker.iam.principals import Principal, of_key, of_session
from local_sagemaker.iam.requests import ApiRequest

if TYPE_CHECKING:
    from local_sagemaker.api import Call
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

_OBJECT_READS = ("s3:GetObject", "s3:GetObjectVersion")
#: Different checks that a recording holds; a run that asks for more has other troubles.
_MOST_RECORDED = 100_000


class Denied(Exception):
    """The caller may not do this; the message is AWS's sentence."""

    def __init__(self, message: str, action: str, resource: str) -> None:
        super().__init__(message)
        self.message = message
        self.action = action
        self.resource = resource


class Access:
    """The account's gate. ``enforcing`` and ``recording`` are what the admin's route switches."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._file = Path(platform.state_dir) / "iam.json"
        self._lock = threading.Lock()
        self._seen: dict[str, dict[str, Any]] = {}
        self.recording = False
        self.enforcing = self._stored()

    @property
    def active(self) -> bool:
        return self.enforcing or self.recording

    def switch(self, *, enforce: bool | None = None, record: bool | None = None) -> None:
        """Enforcement outlives the server, a recording does not. ``record=True`` begins a new one."""
        if enforce is not None:
            self.enforcing = enforce
            self._file.write_text(json.dumps({"enforce": enforce}))
        if record is not None:
            with self._lock:
                if record:
                    self._seen.clear()
                self.recording = record

    def recorded(self) -> list[dict[str, Any]]:
        """What was asked since the recording began: principal, action, resource, context, allowed, statements."""
        with self._lock:
            return [dict(item) for item in self._seen.values()]

    # --- who asks ----------------------------------------------------------------------------------------------------

    def http(self, environ: dict[str, Any], moto_service: str) -> None:
        """Decide about an HTTP request.

        Raises:
            Denied: the caller may not do it.
        """
        request = requests.read(environ, moto_service, self._platform.region)
        if request.service == "sts" and request.operation.startswith("AssumeRole"):
            self._assume(request)
            return
        needs = authorisations.needed(request, self._platform)
        if request.service == "s3" and "delete" in request.parameters["query"]:
            from local_sagemaker.iam import s3

            body = requests.read_body(environ)
            needs += [Needed(*pair) for pair in s3.deleted(request.parameters["bucket"], body)]
        principal = of_key(self._platform, request.access_key)
        self._demand(principal, self._with_keys(needs, request), request.region)

    def call(self, call: Call, role_arn: str) -> None:
        """Decide about an API call that this server makes in a role: a step of a pipeline, a rule's target.

        Raises:
            Denied: the role may not do it.
        """
        if not self.active:
            return
        request = ApiRequest("sagemaker", call.operation, call.request, {}, call.region, "")
        self.demand(role_arn, authorisations.needed(request, self._platform), call.region)

    def demand(self, role_arn: str, needs: Iterable[Needed], region: str = "", session_name: str = "SageMaker") -> None:
        """Decide about what this server does in a role.

        Raises:
            Denied: the role may not do it.
        """
        if self.active:
            principal = of_session(self._platform, role_arn, session_name)
            self._demand(principal, list(needs), region or self._platform.region)

    def table(
        self, role_arn: str, when: Iterable[str], places: dict[str, Any], session_name: str = "SageMaker"
    ) -> None:
        """Decide about the rows of :data:`local_sagemaker.iam.on_behalf.TABLE` that apply.

        Raises:
            Denied: the role lacks a permission that AWS would use.
        """
        if not self.active:
            return
        region = str(places.get("region") or self._platform.region)
        values = {"region": region, "account": self._platform.account_id, **places}
        for name in ("key", "capture_key"):
            if values.get(name):
                values[name] = key_arn(self._platform, region, str(values[name]))
        checks = on_behalf.filled(on_behalf.rows(*when), values)
        self.demand(role_arn, [Needed(*check) for check in checks], region, session_name)

    def object(self, role_arn: str | None, action: str, bucket: str, key: str, prefix: str | None = None) -> None:
        """Decide about an object that this server reads or writes in a role, its encryption included.

        Raises:
            Denied: the role may not.
        """
        if role_arn is None or not self.active:
            return
        arn = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
        context: Context = {"s3:prefix": prefix} if prefix is not None else {}
        needs = [Needed(action, arn, context)]
        self.demand(role_arn, needs + self._key_needs(action, bucket, key, self._platform.region))

    # --- the decision ------------------------------------------------------------------------------------------------

    def _demand(self, principal: Principal, needs: list[Needed], region: str) -> None:
        for need in needs:
            context = self._context(principal, need, region)
            policy = resources.policy(self._platform, need.resource)
            decision = decide(principal, need.action, need.resource, context, policy)
            self._record(principal, need, context, decision)
            if self.enforcing and not decision.allowed:
                message = (
                    f"User: {principal.arn} is not authorized to perform: {need.action} on resource: {need.resource} "
                    f"{decision.why}"
                )
                _log.info("refused: %s", message)
                raise Denied(message, need.action, need.resource)

    def _context(self, principal: Principal, need: Needed, region: str) -> Context:
        account = self._platform.account_id
        tags = resources.tags(self._platform, need.resource)
        return {
            "aws:securetransport": "true",  # loopback counts as TLS
            "aws:principalarn": principal.principal_arn,
            "aws:principalaccount": account,
            "aws:principaltype": "AssumedRole" if ":assumed-role/" in principal.arn else "User",
            "aws:requestedregion": region,
            "aws:resourceaccount": account,
            "aws:sourceip": "127.0.0.1",
            **{f"aws:resourcetag/{name.lower()}": value for name, value in tags.items()},
            **resources.aliases(self._platform, need.resource),
            **need.context,
        }

    def _with_keys(self, needs: list[Needed], request: ApiRequest) -> list[Needed]:
        """``needs``, and what S3 asks KMS for in the caller's name."""
        if request.service != "s3" or not request.parameters["key"]:
            return needs
        more = []
        for need in needs:
            bucket, _, key = need.resource.removeprefix("arn:aws:s3:::").partition("/")
            given = request.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
            more += self._key_needs(need.action, bucket, key, request.region, given)
            if need.action == "s3:PutObject" and ("uploads" in request.parameters["query"]):
                more += self._key_needs("s3:GetObject", bucket, key, request.region, given)
        return needs + more

    def _key_needs(self, action: str, bucket: str, key: str, region: str, given: str | None = None) -> list[Needed]:
        """Source: Amazon S3 User Guide, "Using server-side encryption with AWS KMS keys (SSE-KMS)", Permissions."""
        if action in _OBJECT_READS:
            found, use = resources.object_key(self._platform, bucket, key), "kms:Decrypt"
        elif action == "s3:PutObject":
            found, use = given or resources.bucket_key(self._platform, bucket), "kms:GenerateDataKey"
        else:
            return []
        if not found:
            return []
        context: Context = {
            "kms:viaservice": f"s3.{region}.amazonaws.com",
            "kms:calleraccount": self._platform.account_id,
            "kms:encryptioncontext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
        }
        return [Needed(use, key_arn(self._platform, region, found), context)]

    def _assume(self, request: ApiRequest) -> None:
        """AssumeRole: the trust policy must allow; where it names the account only, the caller's policies too."""
        role = str(request.parameters.get("RoleArn", ""))
        trust = resources.trust(self._platform, role)
        action = f"sts:{request.operation}"
        token = request.parameters.get("WebIdentityToken")
        if token:
            principal, context = self._federated(str(token))
        else:
            principal, context = of_key(self._platform, request.access_key), Context()
        need = Needed(action, role, context)
        full = self._context(principal, need, request.region)
        decision = decide(principal, action, role, full, trust)
        if principal.is_root and not token:  # root too needs to be trusted, which "the account" in a trust policy is
            decision = Decision(bool(trust["Statement"]))
        self._record(principal, need, full, decision)
        if self.enforcing and not decision.allowed:
            sentence = f"User: {principal.arn} is not authorized to perform: {action} on resource: {role}"
            raise Denied("Not authorized to perform sts:AssumeRoleWithWebIdentity" if token else sentence, action, role)

    def _federated(self, token: str) -> tuple[Principal, Context]:
        """The holder of an OIDC token, as the provider's ARN, with what the token says as condition keys."""
        said = requests.claims(token)
        host = said.get("iss", "").removeprefix("https://").rstrip("/")
        arn = f"arn:aws:iam::{self._platform.account_id}:oidc-provider/{host}"
        from moto.iam.models import iam_backends

        if arn not in iam_backends[self._platform.account_id]["aws"].open_id_providers:
            arn = "arn:aws:iam::000000000000:oidc-provider/unknown"
        return Principal(arn, arn, {}), {f"{host}:{name}": said[name] for name in ("aud", "sub") if name in said}

    def _record(self, principal: Principal, need: Needed, context: Context, decision: Decision) -> None:
        if not self.recording:
            return
        item = {
            "principal": principal.principal_arn,
            "action": need.action,
            "resource": need.resource,
            "context": context,
            "allowed": decision.allowed,
            "statements": list(decision.statements),
        }
        key = json.dumps(item, sort_keys=True)
        with self._lock:
            if len(self._seen) < _MOST_RECORDED:
                self._seen.setdefault(key, item)

    def _stored(self) -> bool:
        try:
            return bool(json.loads(self._file.read_text())["enforce"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

"""S3, apart from bodies (:mod:`local_sagemaker.moto_gaps.s3_bodies`).

- Bucket policies: moto takes a condition on an unknown key as met, so that a bucket which refuses plain HTTP refuses
  everything, and it ignores who asks. Here policies are evaluated; loopback counts as TLS.
- Logging configurations: moto fails on a policy statement whose Principal is ``*``. Access logs themselves are not
  written: moto would store an object for each request.
- ``EventBridgeConfiguration`` is left out of GetBucketNotificationConfiguration.
- A delete marker that is overwritten is disposed of like an object, which it cannot be in moto.
- Notifications go to EventBridge and functions through this server's own events. One upload is one event: moto also
  tells of tags that nobody set, and of a put for each multipart upload.
"""

from __future__ import annotations

import contextvars
import functools
import json
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult
from moto.s3 import notifications
from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend
from moto.s3.responses import S3Response

from local_sagemaker import policies
from local_sagemaker.moto_gaps import s3_bodies
from local_sagemaker.moto_gaps.patching import original_of, put, replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_request: contextvars.ContextVar[Any] = contextvars.ContextVar("s3 request", default=None)

#: moto makes the action from the HTTP method.
_ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:PostObject": "s3:PutObject"}
_VERDICTS = {"Allow": PermissionResult.PERMITTED, "Deny": PermissionResult.DENIED, None: PermissionResult.NEUTRAL}
_CONDITION_HEADERS = (
    "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-acl", "x-amz-storage-class",
)  # fmt: skip


def install(platform: Platform) -> None:
    _install_listing()
    _install_notifications(platform)
    put(FakeDeleteMarker, "dispose", lambda self, garbage=False: None)

    @replace(S3Response)
    def setup_class(self: Any, request: Any, full_url: Any = None, headers: Any = None) -> None:
        setup_class.original(self, request, full_url, headers)  # type: ignore[attr-defined]
        _request.set(self)
        self.body = s3_bodies.received(request.environ) or self.body

    @replace(FakeBucket)
    def get_permission(self: Any, action: str, resource: str) -> PermissionResult:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        caller, context = _caller(platform)
        verdict = policies.evaluate(
            [json.loads(self.policy)], _ACTIONS.get(action, action), resource, context, principals=[caller]
        )
        return _VERDICTS[verdict]

    original_check = original_of(FakeBucket, "_log_permissions_enabled_policy")

    def log_permissions(target_bucket: Any, target_prefix: str | None) -> bool:
        stored = target_bucket.policy
        if not stored:
            return False
        document = json.loads(stored)
        document["Statement"] = [
            statement for statement in policies.statements(document) if isinstance(statement.get("Principal"), dict)
        ]
        try:
            target_bucket.policy = json.dumps(document).encode()
            return bool(original_check(target_bucket, target_prefix))
        finally:
            target_bucket.policy = stored

    put(FakeBucket, "_log_permissions_enabled_policy", staticmethod(log_permissions))

    @replace(S3Backend)
    def log_incoming_request(self: Any, request: Any, bucket_name: str) -> None:
        """Access logs are not written."""


def _install_listing() -> None:
    @replace(S3Response)
    def list_objects_v2(self: Any) -> Any:
        self.serialized = functools.partial(_listing, self)
        try:
            return list_objects_v2.original(self)  # type: ignore[attr-defined]
        finally:
            del self.serialized


def _listing(response: Any, result: ActionResult) -> Any:
    """The answer to ListObjectsV2, its keys written directly: moto's serializer takes 0.15 ms for each."""
    answer: Any = result.result
    items = answer.pop("Contents", [])
    status, headers, body = S3Response.serialized(response, result)
    text = body.decode() if isinstance(body, bytes) else body
    end = text.rindex("</ListBucketResult>")
    return status, headers, "".join([text[:end], *map(_item, items), text[end:]])


def _item(item: dict[str, Any]) -> str:
    owner = item.get("Owner")
    parts = [
        f"<Contents><Key>{escape(item['Key'])}</Key><LastModified>{item['LastModified']}</LastModified>",
        f"<ETag>{escape(item['ETag'], {chr(34): '&quot;'})}</ETag><Size>{item['Size']}</Size>",
        f"<StorageClass>{item['StorageClass']}</StorageClass>",
        *(f"<ChecksumAlgorithm>{name}</ChecksumAlgorithm>" for name in item.get("ChecksumAlgorithm", [])),
        f"<Owner><ID>{owner['ID']}</ID><DisplayName>{owner['DisplayName']}</DisplayName></Owner>" if owner else "",
        "</Contents>",
    ]
    return "".join(parts)


def _install_notifications(platform: Platform) -> None:
    @replace(S3Response)
    def get_bucket_notification(self: Any) -> Any:
        found = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if not found or found.event_bridge is None:
            return get_bucket_notification.original(self)  # type: ignore[attr-defined]

        def with_event_bridge(result: ActionResult) -> Any:
            answer: Any = result.result
            answer["EventBridgeConfiguration"] = {}
            return type(self).serialized(self, result)

        self.serialized = with_event_bridge
        return get_bucket_notification.original(self)  # type: ignore[attr-defined]

    def send_event(account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
        put_event = notifications.S3NotificationEvent.OBJECT_CREATED_PUT_EVENT
        if not (event_name == put_event and s3_bodies.joining()):
            original_send(account_id, event_name, bucket, key)

    original_send = put(notifications, "send_event", send_event)

    @replace(S3Backend)
    def put_object_tagging(self: Any, key: Any, tags: dict[str, str] | None) -> Any:
        if not tags and not self.tagger.has_tags(key.arn):
            return key
        return put_object_tagging.original(self, key, tags)  # type: ignore[attr-defined]

    def send_event_bridge_message(account_id: str, bucket: Any, event_name: Any, key: Any) -> None:
        detail = {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": {"key": key.name, "size": key.size, "etag": key.etag.strip('"'), "version-id": key.version_id},
            "requester": account_id,
            "reason": str(event_name.value).removeprefix("s3:").replace(":", ""),
        }
        kind = notifications._detail_type(event_name)
        platform.events.publish("aws.s3", kind, detail, [bucket.arn], bucket.region_name)

    def invoke_function(account_id: str, event_body: Any, fn_arn: str, region_name: str) -> None:
        platform.events.invoke_later(fn_arn, json.dumps(event_body), region_name, "S3 notification")

    put(notifications, "_send_event_bridge_message", send_event_bridge_message)
    put(notifications, "_invoke_awslambda", invoke_function)


def forget() -> None:
    """The request that this thread handled is over."""
    _request.set(None)


def _caller(platform: Platform) -> tuple[str, dict[str, str]]:
    """Who makes the current request, and its condition keys."""
    response = _request.get()
    account = platform.account_id
    context = {"aws:securetransport": "true", "aws:principalaccount": account, "aws:requestedregion": platform.region}
    if response is None:
        return f"arn:aws:iam::{account}:root", context
    caller = platform.caller_arn(response)
    context["aws:principalarn"] = platform.principal_arn(caller)
    context |= {f"s3:{name}": response.headers[name] for name in _CONDITION_HEADERS if name in response.headers}
    return context["aws:principalarn"], context

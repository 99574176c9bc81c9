"""Tags of every resource that this server owns; those of other resources stay moto's.

A handler that creates a resource calls :func:`create`, one that deletes it :func:`drop`. A resource with a record of
tags, even an empty one, is ours.
"""

from __future__ import annotations

from typing import Any

from local_sagemaker.api import Call, operation
from local_sagemaker.errors import ValidationException
from local_sagemaker.store import Missing, Store

KIND = "tags"
LIMIT = 50


def create(call: Call, arn: str, tags: list[dict[str, str]] | None) -> None:
    """Keep the tags that a resource is created with.

    Raises:
        ValidationException: a reserved or repeated key.
    """
    found = _merged({}, tags or [])
    call.platform.store.insert(KIND, call.region, arn, {"Tags": found})


def check(tags: list[dict[str, str]] | None) -> None:
    """Refuse what :func:`create` would refuse, before anything is stored."""
    _merged({}, tags or [])


def drop(call: Call, arn: str) -> None:
    """Forget the tags of a deleted resource."""
    call.platform.store.delete(KIND, call.region, arn)


def of(store: Store, region: str, arn: str) -> dict[str, str]:
    """The tags of a resource; empty when it has none."""
    record = store.get(KIND, region, arn)
    return dict(record.body["Tags"]) if record else {}


@operation("AddTags")
def add_tags(call: Call) -> dict[str, Any]:
    arn, new = call.request["ResourceArn"], call.request["Tags"]

    def change(body: dict[str, Any]) -> None:
        body["Tags"] = _merged(body["Tags"], new)

    try:
        record = call.platform.store.update(KIND, call.region, arn, change)
    except Missing:
        return {"Tags": _moto(call, arn, "add_tags", arn, new)}
    return {"Tags": _listed(record.body["Tags"])}


@operation("ListTags")
def list_tags(call: Call) -> dict[str, Any]:
    arn = call.request["ResourceArn"]
    record = call.platform.store.get(KIND, call.region, arn)
    if record is None:
        found, _ = _moto(call, arn, "list_tags", arn=arn)
        return {"Tags": list(found)}
    return {"Tags": _listed(record.body["Tags"])}  # at most 50, so never a second page


@operation("DeleteTags")
def delete_tags(call: Call) -> None:
    arn, keys = call.request["ResourceArn"], call.request["TagKeys"]

    def change(body: dict[str, Any]) -> None:
        for key in keys:
            body["Tags"].pop(key, None)

    try:
        call.platform.store.update(KIND, call.region, arn, change)
    except Missing:
        _moto(call, arn, "delete_tags", arn, keys)


def _merged(old: dict[str, str], new: list[dict[str, str]]) -> dict[str, str]:
    keys = [tag["Key"] for tag in new]
    if any(key.lower().startswith("aws:") for key in keys):
        raise ValidationException("aws: prefixed tag key names are not allowed for external use.")
    if len(set(keys)) < len(keys):
        raise ValidationException("Duplicate Keys found in Tags list.")
    merged = old | {tag["Key"]: tag["Value"] for tag in new}
    if len(merged) > LIMIT:
        raise ValidationException(f"A resource has at most {LIMIT} tags; this would make {len(merged)}.")
    return merged


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _moto(call: Call, resource: str, method: str, *args: Any, **kwargs: Any) -> Any:
    """Let moto answer for a resource that it owns."""
    from moto.sagemaker.models import sagemaker_backends

    try:
        return getattr(sagemaker_backends[call.account_id][call.region], method)(*args, **kwargs)
    except (AttributeError, KeyError, ValueError):  # moto's answer to an unknown kind or name
        raise ValidationException(f"The resource {resource} does not exist.") from None

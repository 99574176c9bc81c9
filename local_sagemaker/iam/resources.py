"""What belongs to a resource: its own policy, its tags, the key that encrypts it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def policy(platform: Platform, resource: str) -> Mapping[str, Any] | None:
    """The policy that lies on the resource; None when it has none.

    Function, queue, topic and repository policies speak about the resource they lie on, so theirs are returned with
    that resource in every statement.
    """
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return None
    _, _, service, region, _, name = parts
    finder = _FINDERS.get(service)
    document = finder(platform, region or platform.region, name) if finder else None
    if not document:
        return None
    found: Mapping[str, Any] = json.loads(document) if isinstance(document, str | bytes) else document
    if service in ("s3", "iam"):
        return found if service == "s3" else _on(found, resource)
    return _on(found, resource)


def _on(document: Mapping[str, Any], resource: str) -> Mapping[str, Any]:
    listed = document.get("Statement") or []
    listed = [listed] if isinstance(listed, Mapping) else listed
    return {**document, "Statement": [{**statement, "Resource": resource} for statement in listed]}


def _backend(service: Any, platform: Platform, region: str) -> Any:
    from moto.backends import get_backend

    return get_backend(service)[platform.account_id][region]


def _bucket_policy(platform: Platform, region: str, name: str) -> Any:
    bucket = _backend("s3", platform, "aws").buckets.get(name.partition("/")[0])
    return bucket.policy if bucket is not None else None


def _key_policy(platform: Platform, region: str, name: str) -> Any:
    key = _backend("kms", platform, region).keys.get(name.removeprefix("key/"))
    return key.policy if key is not None else None


def _function_policy(platform: Platform, region: str, name: str) -> Any:
    from local_sagemaker.lambdas import NoSuchFunction

    try:
        function = platform.lambdas.find(name.removeprefix("function:"), region)
    except NoSuchFunction:
        return None
    return {"Statement": list(function.policy.statements)}


def _queue_policy(platform: Platform, region: str, name: str) -> Any:
    queue = _backend("sqs", platform, region).queues.get(name)
    return queue._policy_json if queue is not None else None


def _topic_policy(platform: Platform, region: str, name: str) -> Any:
    topics = _backend("sns", platform, region).topics
    topic = topics.get(f"arn:aws:sns:{region}:{platform.account_id}:{name}")
    return topic._policy_json if topic is not None else None


def _repository_policy(platform: Platform, region: str, name: str) -> Any:
    repository = _backend("ecr", platform, region).repositories.get(name.removeprefix("repository/"))
    return repository.policy if repository is not None else None


def _trust(platform: Platform, region: str, name: str) -> Any:
    """A role's trust policy, which is the policy that lies on it for sts:AssumeRole."""
    role = next(
        (role for role in _backend("iam", platform, "aws").roles.values() if role.arn.endswith(f":{name}")), None
    )
    return role.assume_role_policy_document if role is not None else None


_FINDERS = {
    "s3": _bucket_policy,
    "kms": _key_policy,
    "lambda": _function_policy,
    "sqs": _queue_policy,
    "sns": _topic_policy,
    "ecr": _repository_policy,
}


def trust(platform: Platform, role_arn: str) -> Mapping[str, Any]:
    """A role's trust policy, about that role; a role that is not there trusts nobody."""
    document = _trust(platform, "", role_arn.rpartition(":")[2])
    return _on(json.loads(document), role_arn) if document else {"Statement": []}


def tags(platform: Platform, resource: str) -> dict[str, str]:
    """Tags of a SageMaker resource, bucket, key or role; others are taken to have none."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return {}
    service, region, name = parts[2], parts[3], parts[5]
    if service == "sagemaker":
        from local_sagemaker import tags as stored

        return stored.of(platform.store, region, resource)
    if service == "ec2":
        tags_of = _backend("ec2", platform, region).tags.get(name.rpartition("/")[2]) or {}
        return {str(key): str(value) for key, value in tags_of.items()}
    if service == "kms":
        key = _backend("kms", platform, region).keys.get(name.removeprefix("key/"))
        return {} if key is None else _backend("kms", platform, region).tagger.get_tag_dict_for_resource(key.id)
    if service == "iam" and name.startswith("role/"):
        roles = _backend("iam", platform, "aws").roles.values()
        role = next((role for role in roles if role.arn == resource), None)
        return {} if role is None else {tag["Key"]: tag["Value"] for tag in role.tags}
    return {}


def aliases(platform: Platform, resource: str) -> dict[str, str | list[str]]:
    """``kms:ResourceAliases`` of a key; nothing for any other resource."""
    parts = resource.split(":", 5)
    if len(parts) < 6 or parts[2] != "kms" or not parts[5].startswith("key/"):
        return {}
    key = _backend("kms", platform, parts[3]).keys.get(parts[5].removeprefix("key/"))
    return {} if key is None else {"kms:resourcealiases": sorted(key.aliases)}


def object_key(platform: Platform, bucket: str, key: str) -> str | None:
    """The KMS key of a stored object or, where there is none, of what would be stored; None: no KMS."""
    stored = _backend("s3", platform, "aws").buckets.get(bucket)
    if stored is None:
        return None
    found = dict.get(stored.keys, key)
    last = found[-1] if isinstance(found, list) and found else found
    if last is not None and getattr(last, "encryption", None) == "aws:kms":
        return getattr(last, "kms_key_id", None) or bucket_key(platform, bucket)
    if last is not None and getattr(last, "encryption", None) == "AES256":
        return None
    return bucket_key(platform, bucket)


def bucket_key(platform: Platform, bucket: str) -> str | None:
    """The KMS key of the bucket's default encryption; None when it is S3's own."""
    stored = _backend("s3", platform, "aws").buckets.get(bucket)
    if stored is None or not stored.encryption:
        return None
    rule = stored.encryption.get("Rule") or {}
    default = (rule[0] if isinstance(rule, list) else rule).get("ApplyServerSideEncryptionByDefault") or {}
    key: str | None = default.get("KMSMasterKeyID") if default.get("SSEAlgorithm") == "aws:kms" else None
    return key

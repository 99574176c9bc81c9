"""The actions of S3, whose names differ from the operations'.

Source: Amazon S3 User Guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote
from xml.parsers.expat import ExpatError

Needed = list[tuple[str, str]]

#: Sub-resource of a bucket -> (action that reads it, action that writes it, action that deletes it).
_BUCKET = {
    "accelerate": ("GetAccelerateConfiguration", "PutAccelerateConfiguration", ""),
    "acl": ("GetBucketAcl", "PutBucketAcl", ""),
    "cors": ("GetBucketCORS", "PutBucketCORS", "PutBucketCORS"),
    "encryption": ("GetEncryptionConfiguration", "PutEncryptionConfiguration", "PutEncryptionConfiguration"),
    "lifecycle": ("GetLifecycleConfiguration", "PutLifecycleConfiguration", "PutLifecycleConfiguration"),
    "location": ("GetBucketLocation", "", ""),
    "logging": ("GetBucketLogging", "PutBucketLogging", ""),
    "notification": ("GetBucketNotification", "PutBucketNotification", ""),
    "object-lock": ("GetBucketObjectLockConfiguration", "PutBucketObjectLockConfiguration", ""),
    "ownershipControls": ("GetBucketOwnershipControls", "PutBucketOwnershipControls", "PutBucketOwnershipControls"),
    "policy": ("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"),
    "policyStatus": ("GetBucketPolicyStatus", "", ""),
    "publicAccessBlock": ("GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock", "PutBucketPublicAccessBlock"),
    "replication": ("GetReplicationConfiguration", "PutReplicationConfiguration", "PutReplicationConfiguration"),
    "requestPayment": ("GetBucketRequestPayment", "PutBucketRequestPayment", ""),
    "tagging": ("GetBucketTagging", "PutBucketTagging", "PutBucketTagging"),
    "versioning": ("GetBucketVersioning", "PutBucketVersioning", ""),
    "website": ("GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"),
    "uploads": ("ListBucketMultipartUploads", "", ""),
    "versions": ("ListBucketVersions", "", ""),
}
_WRITES = ("PUT", "POST")


def needed(request: Mapping[str, Any], headers: Mapping[str, str]) -> Needed:
    """(action, resource) pairs of a request: ``{"method", "bucket", "key", "query"}``."""
    method, bucket, key, query = request["method"], request["bucket"], request["key"], request["query"]
    if not bucket:
        return [("s3:ListAllMyBuckets", "*")]
    if not key:
        return _bucket(method, f"arn:aws:s3:::{bucket}", query)
    return _object(method, f"arn:aws:s3:::{bucket}/{key}", query, headers)


def _bucket(method: str, arn: str, query: Mapping[str, Any]) -> Needed:
    for name, actions in _BUCKET.items():
        if name in query:
            action = actions[0] if method in ("GET", "HEAD") else actions[1] if method in _WRITES else actions[2]
            return [(f"s3:{action}", arn)]
    if method == "POST" and "delete" in query:
        return []  # each object of the body: see deleted()
    if method == "PUT":
        return [("s3:CreateBucket", arn)]
    if method == "DELETE":
        return [("s3:DeleteBucket", arn)]
    return [("s3:ListBucket", arn)]


def _object(method: str, arn: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> Needed:
    version = "Version" if "versionId" in query else ""
    if "tagging" in query:
        verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}.get(method, "Get")
        return [(f"s3:{verb}Object{version}Tagging", arn)]
    if "acl" in query:
        return [(f"s3:{'Get' if method == 'GET' else 'Put'}Object{version}Acl", arn)]
    if method in ("GET", "HEAD"):
        if "uploadId" in query:
            return [("s3:ListMultipartUploadParts", arn)]
        if "attributes" in query:
            return [(f"s3:GetObject{version}", arn), (f"s3:GetObject{version}Attributes", arn)]
        return [(f"s3:GetObject{version}", arn)]
    if method == "DELETE":
        return [("s3:AbortMultipartUpload" if "uploadId" in query else f"s3:DeleteObject{version}", arn)]
    found = [("s3:PutObject", arn)]
    source = unquote(headers.get("x-amz-copy-source", "")).lstrip("/")
    if source:
        name, _, wanted = source.partition("?versionId=")
        found.append((f"s3:GetObject{'Version' if wanted else ''}", f"arn:aws:s3:::{name}"))
    if headers.get("x-amz-tagging"):
        found.append(("s3:PutObjectTagging", arn))
    return found


def deleted(bucket: str, document: bytes) -> Needed:
    """What DeleteObjects needs: an action for each object that its body names."""
    import xmltodict  # type: ignore[import-untyped]

    try:
        listed = xmltodict.parse(document)["Delete"]["Object"]
    except (ExpatError, KeyError, TypeError, ValueError):
        return []
    found = []
    for item in listed if isinstance(listed, list) else [listed]:
        action = "s3:DeleteObjectVersion" if item.get("VersionId") else "s3:DeleteObject"
        found.append((action, f"arn:aws:s3:::{bucket}/{item.get('Key', '')}"))
    return found

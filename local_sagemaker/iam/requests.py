"""An HTTP request as an API call: which service and operation, with which parameters, by which access key.

moto's own routers and parsers read it, which are made from botocore's models. A body is read into memory and given
back; bodies of S3 are left alone.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

#: moto's name of a service -> botocore's.
_BOTO = {
    "applicationautoscaling": "application-autoscaling",
    "awslambda": "lambda",
    "resourcegroupstaggingapi": "resourcegroupstaggingapi",
    "sagemakermetrics": "sagemaker-metrics",
    "sagemakerruntime": "sagemaker-runtime",
    "servicequotas": "service-quotas",
}
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """An API call. ``service``: botocore's name; ``operation`` empty when the request matches none."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    headers: Mapping[str, str]
    region: str
    access_key: str


def read(environ: dict[str, Any], moto_service: str, region: str) -> ApiRequest:
    """The API call of a request to a service, in moto's name of it."""
    service = _BOTO.get(moto_service, moto_service)
    key, scope = credentials(environ)
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    if service == "s3":
        operation, parameters = "", _s3(environ)
    else:
        operation, parameters = _parsed(environ, service)
    return ApiRequest(service, operation, parameters, headers, scope or region, key)


def credentials(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Access key id and region of a signature, in the header or in a presigned URL; empty texts when unsigned."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if found:
        return found[1], found[2]
    query = parse_qs(environ.get("QUERY_STRING", ""))
    signed = query.get("X-Amz-Credential", [""])[0].split("/")
    if len(signed) == 5:
        return signed[0], signed[2]
    return query.get("AWSAccessKeyId", [""])[0], ""


def _s3(environ: Mapping[str, Any]) -> dict[str, Any]:
    """Path style: method, bucket, key and query; :mod:`local_sagemaker.iam.s3` makes actions of them."""
    path = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
    bucket, _, key = path.partition("?")[0].lstrip("/").partition("/")
    return {
        "method": environ["REQUEST_METHOD"],
        "bucket": unquote(bucket),
        "key": unquote(key),
        "query": parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True),
    }


def _parsed(environ: dict[str, Any], service: str) -> tuple[str, dict[str, Any]]:
    body = read_body(environ)
    model = get_service_model(service)
    request = Request({**environ, "wsgi.input": io.BytesIO(body)})
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    path_parameters: dict[str, Any] = {}
    if target:
        operation = target.rsplit(".", 1)[-1]
        try:
            return operation, json.loads(body or b"{}")
        except ValueError:
            return operation, {}
    found = re.search(r"/service/[^/]+/operation/([^/?]+)$", environ["PATH_INFO"])
    operation = found[1] if found else request.values.get("Action", "")
    if not operation:
        try:
            matched, found_parameters = get_service_router(service).match(request)
        except (HTTPException, NotImplementedError):
            return "", {}
        operation, path_parameters = matched.name, dict(found_parameters)
    try:
        protocol = determine_request_protocol(model, request.content_type)
        parser = PROTOCOL_PARSERS[protocol](model.operation_model(operation))
        parsed = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data or body,
                "url_path": request.path,
                "url_params": path_parameters,
            }
        )
    except Exception:  # a request that botocore's model does not fit is moto's to refuse
        return operation, path_parameters
    return operation, {**dict(parsed), **path_parameters}


def read_body(environ: dict[str, Any]) -> bytes:
    if environ.get("wsgi.input_terminated"):
        body: bytes = environ["wsgi.input"].read()
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def claims(token: str) -> dict[str, str]:
    """What an OIDC token says of its holder. Nobody here can check its signature.

    Returns:
        The claims that are texts; empty for what is no token.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        document = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return {str(name): str(value) for name, value in document.items() if isinstance(value, str | int)}

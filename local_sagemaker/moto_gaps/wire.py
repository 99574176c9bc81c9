"""Errors in each service's own format, for what fails outside moto's responders.

An SDK retries an HTML page with status 500 for minutes; a well-formed error ends the call at once.
"""

from __future__ import annotations

import json
import uuid
from typing import Any
from xml.sax.saxutils import escape

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def error(
    environ: dict[str, Any], service: str, code: str, message: str, status: int
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error answer of ``service`` (moto's name of it) to this request."""
    identity = str(uuid.uuid4())
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        found = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor", "x-amzn-requestid": identity}
        return status, found, b"\xa2" + b"".join(map(_cbor, ("__type", code, "message", message)))
    text, name = escape(message), escape(code)
    if service == "s3":
        xml = f"<Error><Code>{name}</Code><Message>{text}</Message><RequestId>{identity}</RequestId></Error>"
    elif service == "ec2":
        xml = (
            f"<Response><Errors><Error><Code>{name}</Code><Message>{text}</Message></Error></Errors>"
            f"<RequestID>{identity}</RequestID></Response>"
        )
    elif _speaks_xml(environ, service):
        xml = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{name}</Code><Message>{text}</Message></Error>"
            f"<RequestId>{identity}</RequestId></ErrorResponse>"
        )
    else:
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code, "x-amzn-RequestId": identity}
        return status, headers, json.dumps({"__type": code, "message": message, "Message": message}).encode()
    return status, {"Content-Type": "application/xml", "x-amz-request-id": identity}, (_XML + xml).encode()


def _cbor(text: str) -> bytes:
    """A text string of CBOR (RFC 8949, major type 3) with a length of four bytes."""
    data = text.encode()
    return b"\x7a" + len(data).to_bytes(4, "big") + data


def _speaks_xml(environ: dict[str, Any], service: str) -> bool:
    if "HTTP_X_AMZ_TARGET" in environ:
        return False
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return form or service in ("s3control", "route53", "cloudfront")

"""What requests and answers have in common, whatever answers them: Accept headers, JSON, gzip, error bodies."""

from __future__ import annotations

import json
import zlib
from typing import Any

from contracts import invocation
from inference.errors import RequestError

#: All that a client is told of an error of ours; the log has the rest.
INTERNAL_MESSAGE = "The request could not be answered; the server's log says why."

#: How deep objects and lists may lie in each other unless a setting says otherwise.
DEFAULT_JSON_DEPTH = 32

#: Made once: ``json.dumps`` makes an encoder for each call that is not by its defaults.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def accepted_quality(accept: str, media_type: str) -> float:
    """How much an Accept header wants ``media_type``, 0…1; 0 is "not at all" (RFC 9110, section 12.5.1)."""
    # The most specific range decides: application/json, then application/*, then */*.
    quality: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality[media_range] = _quality(parameters)
    for media_range in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if media_range in quality:
            return quality[media_range]
    return 0.0


def check_accept(accept: str | None, offered: tuple[str, ...] = invocation.ACCEPTS) -> None:
    """Raise :class:`RequestError` unless the Accept header allows one of ``offered``; none allows all."""
    if accept is None or not accept.strip() or any(accepted_quality(accept, name) > 0 for name in offered):
        return
    raise RequestError("not_acceptable", f"The Accept header is {accept[:100]!r}; answers are {', '.join(offered)}.")


def error_body(code: str, message: str) -> bytes:
    """The body of an error: ``{"error": {"code", "message"}}``."""
    return dump({"error": {"code": code, "message": message}})


def too_large(size: int, limit: int) -> RequestError:
    return RequestError("body_too_large", f"The body has {size} bytes; at most {limit} are accepted.")


def dump(value: Any) -> bytes:
    """JSON in one line, UTF-8. ValueError for NaN and infinity."""
    return _encode(value).encode()


def parse(body: bytes, max_depth: int) -> Any:
    """The JSON document in ``body``.

    Raises:
        RequestError: it is none, it holds NaN or infinity, or it is nested deeper than ``max_depth``.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
        check_depth(value, max_depth)
        return value
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos}"
    except RecursionError:
        reason = f"it is nested too deep; {max_depth} levels are accepted"
    except ValueError as error:
        reason = str(error) if isinstance(error, _ConstantError) else "a number is too long"
    raise RequestError("bad_json", f"The body is not JSON: {reason}.")


def check_depth(value: Any, limit: int) -> None:
    """Raise RecursionError when objects and lists lie in each other more than ``limit`` deep."""
    level: list[Any] = [value]
    for _ in range(limit):
        inside: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inside.extend(item.values())
            elif isinstance(item, list):
                inside.extend(item)
        level = [item for item in inside if isinstance(item, (dict, list))]
        if not level:
            return
    raise RecursionError(f"nested deeper than {limit} levels")


def unzip(body: bytes, limit: int) -> bytes:
    """What a gzip body unpacks to; not more than ``limit`` bytes are ever unpacked.

    Raises:
        RequestError: ``body_too_large`` above the limit, ``bad_encoding`` when it is no whole gzip stream.
    """
    parts: list[bytes] = []
    size = 0
    try:
        while body:  # a stream may have several members (RFC 1952, section 2.2)
            member = zlib.decompressobj(31)
            parts.append(member.decompress(body, limit + 1 - size))
            size += len(parts[-1])
            if size > limit:
                raise RequestError(
                    "body_too_large", f"The body unpacks to more than the {limit} bytes that are accepted."
                )
            if not member.eof:
                raise RequestError("bad_encoding", "The gzip body ends too early.")
            body = member.unused_data
    except zlib.error:
        raise RequestError("bad_encoding", "The Content-Encoding is gzip, but the body is not.") from None
    return b"".join(parts)


class _ConstantError(ValueError):
    """NaN or infinity, which Python's parser would take."""


def _refuse_constant(name: str) -> Any:
    raise _ConstantError(f"{name} is no JSON number")


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0

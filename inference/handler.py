"""Requests and answers: the four functions of a SageMaker inference handler, with the contract of ``invocation``.

``model_fn``, ``input_fn``, ``predict_fn`` and ``output_fn`` are called in this order and with these arguments by the
SageMaker inference toolkit (through :mod:`inference.toolkit`), by :mod:`inference.server` and by ``training.evaluate``:
one path for every image that is ever scored. What cannot be answered raises :class:`~inference.errors.RequestError`.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from contracts import invocation
from contracts.errors import UsageError
from inference.errors import RequestError
from inference.fetch import Fetcher
from inference.images import Limits
from inference.predictor import DEFAULT_LIMITS, Prediction, Predictor

DEFAULT_MAX_INSTANCES = 64

#: All that a client is told of an error of ours; the log has the rest.
INTERNAL_MESSAGE = "The request could not be answered; the server's log says why."

#: Decimal places of the numbers in an answer.
_DECIMALS = 6
_KINDS = ("image", "image_url", "instances")


class ImageSource(Protocol):
    """Where ``{"image_url": …}`` comes from; see :class:`inference.fetch.Fetcher`."""

    def fetch(self, urls: Sequence[str]) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What the container's environment says. Bytes count for a request's body and for each image in it."""

    max_body_bytes: int = DEFAULT_LIMITS.max_bytes
    max_pixels: int = DEFAULT_LIMITS.max_pixels
    max_instances: int = DEFAULT_MAX_INSTANCES
    image_url_hosts: tuple[str, ...] = ()

    @property
    def limits(self) -> Limits:
        return Limits(max_bytes=self.max_body_bytes, max_pixels=self.max_pixels)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Options:
        """The options of the ``CVF_…`` variables of :mod:`contracts.invocation`; a missing or empty one is the default.

        Raises:
            UsageError: a variable is no positive whole number.
        """
        defaults = cls()
        hosts = environment.get(invocation.IMAGE_URL_HOSTS_VARIABLE, "")
        return cls(
            max_body_bytes=_positive(environment, invocation.MAX_BODY_VARIABLE, defaults.max_body_bytes),
            max_pixels=_positive(environment, invocation.MAX_PIXELS_VARIABLE, defaults.max_pixels),
            max_instances=_positive(environment, invocation.MAX_INSTANCES_VARIABLE, defaults.max_instances),
            image_url_hosts=tuple(host.strip().lower() for host in hosts.split(",") if host.strip()),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read: image files, and whether the answer is a batch."""

    images: tuple[bytes, ...]
    batch: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The predictions for a :class:`Request`."""

    predictions: tuple[Prediction, ...]
    batch: bool


@dataclass(frozen=True)
class Handler:
    """The handler's four functions with their options.

    Attributes:
        threads: for the arithmetic of one call.
        source: where images of URLs come from; None: a :class:`~inference.fetch.Fetcher` when hosts are listed.
    """

    options: Options = field(default_factory=Options)
    threads: int = 1
    source: ImageSource | None = None

    def model_fn(self, model_dir: str | Path) -> Predictor:
        """The bundle in ``model_dir``, loaded and warm.

        Raises:
            ContractError: the bundle cannot be served.
        """
        predictor = Predictor(Path(model_dir), self.threads, limits=self.options.limits)
        predictor.warm_up()
        return predictor

    def input_fn(self, data: bytes | bytearray | str, content_type: str | None) -> Request:
        """The images of a request's body.

        Raises:
            RequestError: the body is empty, too large, or not what ``content_type`` says.
        """
        body = data.encode() if isinstance(data, str) else bytes(data)
        if len(body) > self.options.max_body_bytes:
            raise too_large(len(body), self.options.max_body_bytes)
        media_type = (content_type or "").partition(";")[0].strip().lower()
        if media_type not in invocation.CONTENT_TYPES:
            given = repr(media_type[:100]) if media_type else "missing"
            raise RequestError(
                "unsupported_media_type",
                f"The Content-Type is {given}; it must be one of {', '.join(invocation.CONTENT_TYPES)}.",
            )
        if not body:
            raise RequestError("empty_body", "The request has no body; send an image or a JSON document.")
        if media_type == invocation.JSON:
            return self._read_document(_parse(body))
        return Request((body,), batch=False)

    def predict_fn(self, request: Request, model: Predictor) -> Answer:
        """The predictions for the request's images, in their order.

        Raises:
            RequestError: an image cannot be used; in a batch the message names its place.
        """
        if not request.batch:
            return Answer(tuple(model.predict(request.images)), batch=False)
        pixels = []
        for index, image in enumerate(request.images):
            try:
                pixels.append(model.pixels(image))
            except RequestError as error:
                raise RequestError(error.code, f"instances[{index}]: {error.message}") from None
        return Answer(tuple(model.predict_pixels(pixels)), batch=True)

    def output_fn(self, answer: Answer, accept: str | None = None) -> tuple[bytes, str]:
        """The answer's body and its content type.

        Raises:
            RequestError: ``accept`` allows no content type that this handler can write.
        """
        check_accept(accept)
        documents = [_document(prediction) for prediction in answer.predictions]
        value: Any = {"predictions": documents} if answer.batch else documents[0]
        return _dump(value), invocation.JSON

    def _read_document(self, document: Any) -> Request:
        kinds = [name for name in _KINDS if name in document] if isinstance(document, dict) else []
        if len(kinds) != 1 or len(document) != 1:
            raise RequestError(
                "bad_request",
                'The JSON document must be an object with exactly one of "image", "image_url" and "instances".',
            )
        if kinds == ["instances"]:
            return Request(self._read_instances(document["instances"]), batch=True)
        return Request(tuple(self._read_items([document], "")), batch=False)

    def _read_instances(self, instances: Any) -> tuple[bytes, ...]:
        if not isinstance(instances, list) or not instances:
            raise RequestError("bad_request", '"instances" must be a list with at least one object.')
        if len(instances) > self.options.max_instances:
            raise RequestError(
                "too_many_instances",
                f'"instances" has {len(instances)} objects; at most {self.options.max_instances} are accepted.',
            )
        return tuple(self._read_items(instances, "instances"))

    def _read_items(self, items: list[Any], name: str) -> list[bytes]:
        """The image of each ``{"image": …}`` or ``{"image_url": …}``; URLs are fetched when everything is checked."""
        found: list[bytes] = []
        urls: dict[int, str] = {}
        for index, item in enumerate(items):
            where = f"{name}[{index}]: " if name else ""
            if not isinstance(item, dict) or len(item) != 1 or not ({"image", "image_url"} & set(item)):
                raise RequestError(
                    "bad_request", f'{where}it must be an object with exactly one of "image" and "image_url".'
                )
            ((kind, value),) = item.items()
            if not isinstance(value, str):
                raise RequestError("bad_request", f'{where}"{kind}" must be a string.')
            if kind == "image":
                found.append(_decode_base64(value, where))
            else:
                urls[index] = value
                found.append(b"")
        if urls:
            for index, data in zip(urls, self._fetch(list(urls.values())), strict=True):
                found[index] = data
        return found

    def _fetch(self, urls: list[str]) -> list[bytes]:
        if self._source is None:
            raise RequestError(
                "image_url_disabled",
                '"image_url" is switched off here; send the image itself. The setting serving.image_url_hosts '
                "lists the hosts that images may be fetched from.",
            )
        return self._source.fetch(urls)

    @cached_property
    def _source(self) -> ImageSource | None:
        if self.source is not None or not self.options.image_url_hosts:
            return self.source
        return Fetcher(self.options.image_url_hosts, max_bytes=self.options.max_body_bytes)


def check_accept(accept: str | None) -> None:
    """Raise :class:`RequestError` unless the Accept header allows JSON (RFC 9110, section 12.5.1)."""
    if accept is None or not accept.strip():
        return
    # The most specific range decides: application/json, then application/*, then */*.
    quality: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality[media_range] = _quality(parameters)
    for media_range in (invocation.JSON, "application/*", "*/*"):
        if media_range in quality:
            if quality[media_range] > 0:
                return
            break
    raise RequestError(
        "not_acceptable", f"The Accept header is {accept[:100]!r}; answers are {', '.join(invocation.ACCEPTS)}."
    )


def error_body(code: str, message: str) -> bytes:
    """The body of an error: ``{"error": {"code", "message"}}``."""
    return _dump({"error": {"code": code, "message": message}})


def too_large(size: int, limit: int) -> RequestError:
    return RequestError("body_too_large", f"The body has {size} bytes; at most {limit} are accepted.")


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _document(prediction: Prediction) -> dict[str, Any]:
    return {
        "predicted_label": prediction.label,
        "confidence": round(prediction.confidence, _DECIMALS),
        "probabilities": {name: round(value, _DECIMALS) for name, value in prediction.probabilities.items()},
    }


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos}"
    except RecursionError:
        reason = "it is nested too deep"
    except ValueError as error:
        reason = str(error) if isinstance(error, _ConstantError) else "a number is too long"
    raise RequestError("bad_json", f"The body is not JSON: {reason}.")


class _ConstantError(ValueError):
    """NaN or infinity, which Python's parser would take."""


def _refuse_constant(name: str) -> Any:
    raise _ConstantError(f"{name} is no JSON number")


def _decode_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(
            "bad_base64",
            f'{where}"image" is not base64 (RFC 4648, section 4: no line breaks, no "data:" prefix).',
        ) from None


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise UsageError(f"{name} is {text!r}; it must be a whole number of at least 1")
    return int(text)

"""Requests and answers: the four functions of a SageMaker inference handler, with the contract of ``invocation``.

``model_fn``, ``input_fn``, ``predict_fn`` and ``output_fn`` are called in this order and with these arguments by the
SageMaker inference toolkit (through :mod:`inference.toolkit`), by :mod:`inference.server` and by ``training.evaluate``:
one path for every image that is ever scored. What cannot be answered raises :class:`~inference.errors.RequestError`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from contracts import bundle, invocation
from contracts.errors import UsageError
from inference.errors import RequestError
from inference.fetch import Fetcher
from inference.images import Limits, Pixels
from inference.limits import max_body_bytes, positive
from inference.predictor import DEFAULT_LIMITS, Prediction, Predictor
from inference.wire import DEFAULT_JSON_DEPTH, check_accept, dump, parse, too_large

DEFAULT_MAX_INSTANCES = 64

#: Decimal places of the numbers in an answer.
_DECIMALS = 6
_KINDS = ("image", "image_url", "instances")

SINGLE, BATCH, LINES = "single", "batch", "lines"


class ImageSource(Protocol):
    """Where ``{"image_url": …}`` comes from; see :class:`inference.fetch.Fetcher`."""

    def fetch(self, urls: Sequence[str]) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What the container's environment says. Bytes count for a request's body and for each image in it."""

    max_body_bytes: int = DEFAULT_LIMITS.max_bytes
    max_pixels: int = DEFAULT_LIMITS.max_pixels
    max_frames: int = DEFAULT_LIMITS.max_frames
    max_instances: int = DEFAULT_MAX_INSTANCES
    max_json_depth: int = DEFAULT_JSON_DEPTH
    image_url_hosts: tuple[str, ...] = ()
    precision: str = bundle.FLOAT32

    @property
    def limits(self) -> Limits:
        return Limits(max_bytes=self.max_body_bytes, max_pixels=self.max_pixels, max_frames=self.max_frames)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Options:
        """The options of the ``CVF_…`` variables of :mod:`contracts.invocation`; a missing or empty one is the default.

        Raises:
            UsageError: a variable is no positive whole number, or the precision is none.
        """
        defaults = cls()
        precision = environment.get(invocation.PRECISION_VARIABLE, "").strip() or defaults.precision
        if precision not in bundle.PRECISIONS:
            raise UsageError(
                f"{invocation.PRECISION_VARIABLE} is {precision!r}; it must be {' or '.join(bundle.PRECISIONS)}"
            )
        hosts = environment.get(invocation.IMAGE_URL_HOSTS_VARIABLE, "")
        return cls(
            max_body_bytes=max_body_bytes(environment),
            max_pixels=positive(environment, invocation.MAX_PIXELS_VARIABLE, defaults.max_pixels),
            max_frames=positive(environment, invocation.MAX_FRAMES_VARIABLE, defaults.max_frames),
            max_instances=positive(environment, invocation.MAX_INSTANCES_VARIABLE, defaults.max_instances),
            max_json_depth=positive(environment, invocation.MAX_JSON_DEPTH_VARIABLE, defaults.max_json_depth),
            image_url_hosts=tuple(host.strip().lower() for host in hosts.split(",") if host.strip()),
            precision=precision,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read.

    Attributes:
        images: image files.
        form: what the answer looks like: ``SINGLE`` one object, ``BATCH`` ``{"predictions": […]}``, ``LINES`` one
            object a line.
        errors: of ``LINES``, place of the line -> why it has no image.
    """

    images: tuple[bytes, ...]
    form: str = SINGLE
    errors: Mapping[int, RequestError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The predictions for a :class:`Request`, and the errors that stand in places of their own."""

    predictions: tuple[Prediction, ...]
    form: str = SINGLE
    errors: Mapping[int, RequestError] = field(default_factory=dict)


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
        predictor = Predictor(
            Path(model_dir), self.threads, limits=self.options.limits, precision=self.options.precision
        )
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
        if media_type == invocation.JSON_LINES:
            return self._read_lines(body)
        if media_type == invocation.JSON:
            return self._read_document(parse(body, self.options.max_json_depth))
        return Request((body,), SINGLE)

    def predict_fn(self, request: Request, model: Predictor) -> Answer:
        """The predictions for the request's images, in their order.

        Raises:
            RequestError: an image cannot be used; in a batch the message names its place.
        """
        return self.infer(*self.decode(request, model), model)

    def decode(self, request: Request, model: Predictor) -> tuple[list[Pixels], Request]:
        """The first half of :meth:`predict_fn`: what the network sees of each image, ``(S, S, C) uint8``.

        The request comes back with the errors of those of its lines whose images cannot be used.
        """
        found: list[Pixels] = []
        errors = dict(request.errors)
        places = [place for place in range(len(request.images) + len(errors)) if place not in errors]
        for place, image in zip(places, request.images, strict=True):
            try:
                found.append(model.pixels(image))
            except RequestError as error:
                if request.form == SINGLE:
                    raise
                if request.form == BATCH:
                    raise RequestError(error.code, f"instances[{place}]: {error.message}") from None
                errors[place] = error
        return found, replace(request, errors=errors)

    def infer(self, pixels: Sequence[Pixels], request: Request, model: Predictor) -> Answer:
        """The second half of :meth:`predict_fn`: the network, on what :meth:`decode` found."""
        predictions = model.predict_pixels(pixels) if pixels else []
        return Answer(tuple(predictions), request.form, request.errors)

    def output_fn(self, answer: Answer, accept: str | None = None) -> tuple[bytes, str]:
        """The answer's body and its content type.

        Raises:
            RequestError: ``accept`` allows no content type that this handler can write.
        """
        if answer.form == LINES:
            check_accept(accept, (invocation.JSON_LINES, invocation.JSON))
            usable = iter(answer.predictions)
            lines = (
                dump({"error": {"code": error.code, "message": error.message}} if error else _document(next(usable)))
                for error in map(answer.errors.get, range(len(answer.predictions) + len(answer.errors)))
            )
            return b"\n".join(lines), invocation.JSON_LINES
        check_accept(accept)
        documents = [_document(prediction) for prediction in answer.predictions]
        value: Any = {"predictions": documents} if answer.form == BATCH else documents[0]
        return dump(value), invocation.JSON

    def _read_lines(self, body: bytes) -> Request:
        """One image of each line that is not empty. A line that cannot be used is an error, and the others are not."""
        lines = [line for line in body.split(b"\n") if line.strip()]
        if not lines:
            raise RequestError("empty_body", "The request has no lines; send one JSON document a line.")
        if len(lines) > self.options.max_instances:
            raise RequestError(
                "too_many_instances",
                f"The body has {len(lines)} lines; at most {self.options.max_instances} are accepted.",
            )
        found: list[bytes] = []
        errors: dict[int, RequestError] = {}
        for place, line in enumerate(lines):
            try:
                found.extend(self._read_items([parse(line, self.options.max_json_depth)], ""))
            except RequestError as error:
                errors[place] = error
        return Request(tuple(found), LINES, errors)

    def _read_document(self, document: Any) -> Request:
        kinds = [name for name in _KINDS if name in document] if isinstance(document, dict) else []
        if len(kinds) != 1 or len(document) != 1:
            raise RequestError(
                "bad_request",
                'The JSON document must be an object with exactly one of "image", "image_url" and "instances".',
            )
        if kinds == ["instances"]:
            return Request(self._read_instances(document["instances"]), BATCH)
        return Request(tuple(self._read_items([document], "")), SINGLE)

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


def _document(prediction: Prediction) -> dict[str, Any]:
    return {
        "predicted_label": prediction.label,
        "confidence": round(prediction.confidence, _DECIMALS),
        "probabilities": {name: round(value, _DECIMALS) for name, value in prediction.probabilities.items()},
    }


def _decode_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(
            "bad_base64",
            f'{where}"image" is not base64 (RFC 4648, section 4: no line breaks, no "data:" prefix).',
        ) from None

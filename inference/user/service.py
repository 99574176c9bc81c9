"""A bundle's own code as a :class:`~inference.exchange.Service`."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from contracts import bundle
from contracts.invocation import JSON
from inference.errors import RequestError
from inference.exchange import Call, Reply
from inference.handler import Handler
from inference.user import codecs, module, names
from inference.user.context import Context, Headers
from inference.user.module import Function, UserModuleError

DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"

T = TypeVar("T")

#: Of the answer's headers, these are the server's own.
_OWN_HEADERS = {"content-length", "transfer-encoding", "connection", "content-type", "x-request-id"}
_TEXT_CHARSETS = {"", "utf-8", "utf8", "us-ascii", "ascii"}


class ImageDefaults(names.DefaultInferenceHandler):
    """For a module without a model_fn beside a bundle of ours: what it does not define is the image model's."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        return self._handler.model_fn(model_dir)

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        return self._handler.input_fn(input_data, content_type)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        return self._handler.predict_fn(data, model)

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        return self._handler.output_fn(prediction, accept)


class UserService:
    """The functions of a user module, and the model that its model_fn made.

    Args:
        path: the module's file, see :func:`inference.user.module.find`.
        model_dir: the unpacked bundle.
        handler: answers for a module that leaves functions out beside a bundle of ours.

    Raises:
        UserModuleError: the module cannot be used.
        Exception: whatever the module's functions raise while the model is loaded.
    """

    def __init__(self, path: Path, model_dir: Path, handler: Handler, environment: Mapping[str, str]) -> None:
        self._name = path.name
        self._model_dir = model_dir
        self._depth = handler.options.max_json_depth
        self._default_accept = environment.get(DEFAULT_ACCEPT, "").strip() or JSON
        loaded = module.load(path, model_dir)
        images = (model_dir / bundle.SPEC).is_file() and getattr(loaded, "model_fn", None) is None
        defaults = ImageDefaults(handler) if images else names.DefaultInferenceHandler()
        self._functions = module.functions(loaded, defaults)
        self._transform: Function | None = self._functions.get("transform_fn")
        self._with_context = any(self._functions[name].context for name in module.ARGUMENTS if name in self._functions)
        self._toolkit_output = not images and self._functions["output_fn"].default and self._transform is None
        context = Context(model_dir)
        folder = str(model_dir)
        if "pre_model_fn" in self._functions:
            self._functions["pre_model_fn"](folder, context=context)
        try:
            self._model = self._functions["model_fn"](folder, context=context)
        except NotImplementedError as error:
            if self._functions["model_fn"].default:
                raise UserModuleError(f"{path.name} has no model_fn, and there is no default one") from error
            raise
        if "model_warmup_fn" in self._functions:
            self._functions["model_warmup_fn"](folder, self._model, context=context)

    def describe(self) -> str:
        return f"{module.CODE}/{self._name}"

    def check(self, headers: Sequence[tuple[str, str]]) -> None:
        if self._toolkit_output:
            accept = self._accept(",".join(value for name, value in headers if name == "accept"))
            try:
                codecs.choose(accept)
            except codecs.UnsupportedType:
                raise _not_acceptable(accept) from None

    def still_runs(self) -> None:
        """Nothing is known of the model: an error of its code says nothing of the next request."""

    def answer(self, call: Call) -> Reply:
        context = Context(self._model_dir, Headers(call.headers), call.request_id) if self._with_context else None
        content_type = call.header("content-type")
        accept = self._accept(call.accept)
        try:
            body, content_type = _text(bytearray(call.body), content_type)
            if self._transform is not None:
                with call.record.stage("model"):
                    transform = self._transform
                    result = _guarded(
                        lambda: transform(self._model, body, content_type, accept, context=context), "both",
                        content_type, accept,
                    )  # fmt: skip
            else:
                result = self._three(call, body, content_type, accept, context)
            with call.record.stage("write"):
                return _reply(result, accept, context)
        except names.BaseInferenceToolkitError as error:
            return _toolkit_error(error, context)

    def _three(self, call: Call, body: Any, content_type: str | None, accept: str, context: Context | None) -> Any:
        steps = self._functions
        with call.record.stage("decode"):
            if content_type is None and steps["input_fn"].default:
                raise RequestError("unsupported_media_type", "The Content-Type is missing.")
            data = _guarded(
                lambda: steps["input_fn"](body, content_type, context=context), "input", content_type, accept
            )
        with call.record.stage("model"):
            prediction = steps["predict_fn"](data, self._model, context=context)
        with call.record.stage("encode"):
            return _guarded(
                lambda: steps["output_fn"](prediction, accept, context=context), "output", content_type, accept
            )

    def _accept(self, accept: str) -> str:
        return self._default_accept if accept.strip() in ("", "*/*") else accept


def _guarded(call: Callable[[], T], stage: str, content_type: str | None, accept: str) -> T:
    """``call``'s value; what is the client's fault becomes a 4xx. No text of an exception reaches the client."""
    try:
        return call()
    except codecs.UnsupportedType as error:
        given = codecs.media_type_of(str(error.content_type))
        if stage == "input" or (stage == "both" and given == codecs.media_type_of(content_type)):
            shown = repr((content_type or "")[:100])
            raise RequestError("unsupported_media_type", f"The Content-Type {shown} is not read here.") from None
        raise _not_acceptable(accept) from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        if stage == "output":
            raise
        _log_client_error(error)
        what = "nested too deep" if isinstance(error, RecursionError) else "not what its Content-Type says"
        raise RequestError("bad_json" if _is_json(content_type) else "bad_request", f"The body is {what}.") from None
    except ValueError as error:
        if stage != "input":
            raise
        _log_client_error(error)
        raise RequestError("bad_request", "The body cannot be read as an input.") from None


def _reply(result: Any, accept: str, context: Context | None) -> Reply:
    """What the functions returned, as an answer: ``body`` or ``(body, content_type)``."""
    content_type = accept
    if isinstance(result, tuple):
        result, content_type = result[0], result[1]
    if isinstance(result, (bytes, bytearray)):
        body = bytes(result)
    elif isinstance(result, str):
        body = result.encode()
    else:
        body = json.dumps(result, indent=2, allow_nan=False).encode()
    if _is_json(content_type) and (b"NaN" in body or b"Infinity" in body):
        json.loads(body, parse_constant=_refuse_constant)
    status = 200 if context is None else _status(context.get_response_status(0)[0])
    return Reply(body, _header_safe(content_type), status, _headers(context))


def _headers(context: Context | None) -> dict[str, str]:
    """What the user's code set, but for the server's own headers."""
    if context is None:
        return {}
    return {
        _header_safe(name): _header_safe(value)
        for name, value in context.get_response_headers(0).items()
        if name.lower() not in _OWN_HEADERS
    }


def _toolkit_error(error: Any, context: Context | None) -> Reply:
    """The status and the message that the user's code chose; its words are meant for the client."""
    from inference.wire import error_body

    status = _status(error.status_code)
    code = {400: "bad_request", 413: "body_too_large", 415: "unsupported_media_type", 503: "overloaded"}.get(
        status, "bad_request" if status < 500 else "internal"
    )
    return Reply(error_body(code, str(error.message)[:1000]), JSON, status, _headers(context))


def _text(body: bytearray, content_type: str | None) -> tuple[bytearray | str, str | None]:
    """JSON and CSV as text, with the bare type, so that ``content_type == "application/json"`` holds with a charset."""
    media_type = codecs.media_type_of(content_type)
    if media_type not in codecs.TEXT_TYPES:
        return body, content_type
    charset = ""
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    if charset not in _TEXT_CHARSETS:
        raise RequestError("unsupported_media_type", f"The charset is {charset[:40]!r}; it must be utf-8.")
    try:
        return body.decode(), media_type
    except UnicodeDecodeError as error:
        code = "bad_json" if media_type == JSON else "bad_request"
        raise RequestError(code, f"The body is not UTF-8 at byte {error.start}.") from None


def _not_acceptable(accept: str) -> RequestError:
    return RequestError("not_acceptable", f"The Accept header is {accept[:100]!r}; it cannot be answered so.")


def _is_json(content_type: Any) -> bool:
    return codecs.media_type_of(str(content_type or "")) == JSON


def _status(code: Any) -> int:
    return int(code) if isinstance(code, int) and 200 <= code <= 599 else 500


def _header_safe(value: Any) -> str:
    """A header's name or value without line ends or other controls, which would be headers of their own."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if 32 <= ord(character) < 256 and ord(character) != 127 else " " for character in str(value)
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"the answer holds {name}, which JSON cannot")


def _log_client_error(error: Exception) -> None:
    """The place in the user's code, without the exception's text, which may repeat the body."""
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {Path(frame[0].filename).name}:{frame[0].lineno}" if frame else ""
    print(f"inference.server: refused a body: {type(error).__name__}{where}", file=sys.stderr, flush=True)

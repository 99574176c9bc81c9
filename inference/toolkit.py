"""The same handler for the SageMaker inference toolkit, for those who serve a bundle in one of AWS's own images.

Our serving image does not import this module: it serves through :mod:`inference.server`, which starts sooner and keeps
ping, errors and SIGTERM right where the toolkit does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from sagemaker_inference import (  # type: ignore[import-untyped]
    default_handler_service,
    default_inference_handler,
    errors,
    transformer,
)

from inference.errors import RequestError
from inference.handler import Answer, Handler, Options, Request
from inference.predictor import Predictor
from inference.wire import INTERNAL_MESSAGE, error_body

T = TypeVar("T")


class HandlerService(default_handler_service.DefaultHandlerService):  # type: ignore[misc]
    """What the model server calls; its name goes to ``model_server.start_model_server(handler_service=…)``."""

    def __init__(self) -> None:
        super().__init__(transformer=QuietTransformer(ToolkitHandler()))


class QuietTransformer(transformer.Transformer):  # type: ignore[misc]
    """The toolkit's transformer, but an error's body is the error alone: no traceback reaches the client."""

    @staticmethod
    def handle_error(context: Any, inference_exception: Any, trace: str) -> list[str]:
        transformer.Transformer.handle_error(context, inference_exception, "")
        if inference_exception.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            return [inference_exception.message]
        print(trace, file=sys.stderr, flush=True)
        context.set_response_status(HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR.phrase)
        return [error_body("internal", INTERNAL_MESSAGE).decode()]


class ToolkitHandler(default_inference_handler.DefaultInferenceHandler):  # type: ignore[misc]
    """:class:`inference.handler.Handler` as a ``DefaultInferenceHandler``; options come from the environment.

    Bad requests leave with their own status, and with the body that the server would send.
    """

    def __init__(self) -> None:
        self._handler = Handler(Options.from_environment())

    def default_model_fn(self, model_dir: str, context: Any = None) -> Predictor:
        return self._handler.model_fn(model_dir)

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Request:
        return _translated(lambda: self._handler.input_fn(input_data, content_type))

    def default_predict_fn(self, data: Request, model: Predictor, context: Any = None) -> Answer:
        return _translated(lambda: self._handler.predict_fn(data, model))

    def default_output_fn(self, prediction: Answer, accept: str, context: Any = None) -> tuple[bytes, str]:
        return _translated(lambda: self._handler.output_fn(prediction, accept))


def _translated(call: Callable[[], T]) -> T:
    try:
        return call()
    except RequestError as error:
        raise errors.GenericInferenceToolkitError(
            error.status, error_body(error.code, error.message).decode(), HTTPStatus(error.status).phrase
        ) from None

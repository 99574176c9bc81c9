"""The context argument of user functions, in the form of the model server's that the toolkit runs on.

Source: ``context.py`` of multi-model-server 1.1.11. Two things differ: an object belongs to one request instead of to
the worker, so that threads never see each other's headers; header names are found in any case.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

SERVER_NAME, SERVER_VERSION = "MMS", "1.1.11"
_SPELLINGS = {
    "accept": "Accept",
    "content-type": "Content-Type",
    "content-length": "Content-Length",
    "x-amzn-sagemaker-custom-attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "x-amzn-sagemaker-inference-id": "X-Amzn-SageMaker-Inference-Id",
    "x-amzn-sagemaker-target-model": "X-Amzn-SageMaker-Target-Model",
    "x-amzn-sagemaker-target-variant": "X-Amzn-SageMaker-Target-Variant",
    "x-amzn-sagemaker-session-id": "X-Amzn-SageMaker-Session-Id",
}


class Headers(dict[str, str]):
    """Headers by name, found in any case; SageMaker's own are spelled as its API spells them."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            spelled = _SPELLINGS.get(name.lower(), name)
            known = super().get(spelled)
            super().__setitem__(spelled, value if known is None else f"{known},{value}")
        self._names = {name.lower(): name for name in self}

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(self._names.get(name.lower(), name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._names

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - this is ``get``


class RequestProcessor:
    """One request's headers, and the status and headers of its answer."""

    def __init__(self, headers: Headers) -> None:
        self._request = headers
        self._response: dict[str, str] = {}
        self._status = 200
        self._phrase: str | None = None

    def get_request_property(self, key: str) -> str | None:
        value: str | None = self._request.get(key)
        return value

    def get_request_properties(self) -> Headers:
        return self._request

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        self._status, self._phrase = int(code), reason_phrase

    def get_response_status_code(self) -> int:
        return self._status

    def get_response_status_phrase(self) -> str | None:
        return self._phrase

    def add_response_property(self, key: str, value: str) -> None:
        self._response[key] = value

    def get_response_headers(self) -> dict[str, str]:
        return self._response

    def get_response_header(self, key: str) -> str | None:
        return self._response.get(key)


class Metrics:
    """Takes what user code measures and drops it; the server has its own metrics."""

    def add_metric(self, *arguments: Any, **named: Any) -> None: ...

    add_counter = add_time = add_size = add_percent = add_error = add_metric


class Context:
    """See the module; ``headers`` is None while the model is loaded, when there is no request."""

    def __init__(self, model_dir: Path, headers: Headers | None = None, request_id: str = "") -> None:
        self.model_name = "model"
        self.manifest: dict[str, Any] | None = None
        self.system_properties = {
            "model_dir": str(model_dir),
            "gpu_id": None,
            "batch_size": 1,
            "server_name": SERVER_NAME,
            "server_version": SERVER_VERSION,
        }
        self.request_ids = {0: request_id} if request_id else None
        self.request_processor = None if headers is None else [RequestProcessor(headers)]
        self.metrics = Metrics()

    def _of(self, index: int) -> RequestProcessor:
        if self.request_processor is None:
            raise RuntimeError("the context has no request: the model is being loaded")
        return self.request_processor[index]

    def get_request_id(self, idx: int = 0) -> str | None:
        return (self.request_ids or {}).get(idx)

    def get_request_header(self, idx: int, key: str) -> str | None:
        return self._of(idx).get_request_property(key)

    def get_all_request_header(self, idx: int) -> Headers:
        return self._of(idx).get_request_properties()

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:
        return self.get_response_headers(idx).get("content-type")

    def get_response_status(self, idx: int) -> tuple[int, str | None]:
        return self._of(idx).get_response_status_code(), self._of(idx).get_response_status_phrase()

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        if self.request_processor is not None:
            self._of(idx).report_status(code, reason_phrase=phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        for processor in self.request_processor or []:
            processor.report_status(code, reason_phrase=phrase)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        return self._of(idx).get_response_headers()

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self._of(idx).add_response_property(key, value)

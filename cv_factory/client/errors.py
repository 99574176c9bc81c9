"""What can be wrong with one image, and what SageMaker says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contracts.errors import FactoryError


class PredictionError(FactoryError):
    """An image got an error for an answer.

    Attributes:
        status: the HTTP status: the container's, or SageMaker's where the request did not reach it; 0 without one.
        code: one of :data:`contracts.invocation.ERRORS`, or SageMaker's own (``ThrottlingException``); may be empty.
        message: what the endpoint says.
    """

    def __init__(self, status: int, code: str, message: str, *, headline: str = "", hint: str = "") -> None:
        super().__init__(headline or f"the endpoint answered {status}: {message}", hint)
        self.status = status
        self.code = code
        self.message = message


class PayloadTooLargeError(PredictionError):
    """A request that would be larger than the endpoint takes; it was not sent. Status 413, code ``body_too_large``."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(413, "body_too_large", message, headline=message, hint=hint)


class DeadlineError(PredictionError):
    """There was no answer in time. Status 0, code ``deadline``."""

    def __init__(self, seconds: float) -> None:
        message = f"no answer within {seconds:g} s"
        super().__init__(0, "deadline", message, headline=message)


def from_model(response: Mapping[str, Any]) -> PredictionError:
    """The error of a ModelError: what the container answered, as SageMaker hands it on."""
    status = int(response.get("OriginalStatusCode") or 0) or 500
    text = str(response.get("OriginalMessage") or "")
    try:
        error = json.loads(text)["error"]
        return PredictionError(status, str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return PredictionError(status, "", text or str(response.get("Error", {}).get("Message", "")))


def from_sagemaker(response: Mapping[str, Any]) -> PredictionError:
    """The error of a request that SageMaker itself did not pass on, or not answer."""
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    error = response.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    return PredictionError(status, code, message, headline=f"SageMaker answered {status}, {code}: {message}")

"""A small client for applications: images in, predictions out. boto3 only.

from cv_factory.client import Predictor

predictor = Predictor("my-endpoint")
print(predictor.predict("photo.jpg")["predicted_label"])
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import invocation
from contracts.errors import FactoryError

if TYPE_CHECKING:
    import boto3

_JPEG, _PNG, _RIFF, _WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"WEBP"


class Predictor:
    """Calls one endpoint. Safe to use from several threads.

    Args:
        endpoint_name: of the SageMaker endpoint.
        session: a boto3 session; by default boto3's own resolution of credentials, region and endpoint.
    """

    def __init__(self, endpoint_name: str, session: boto3.Session | None = None) -> None:
        import boto3

        self.endpoint_name = endpoint_name
        self._client = (session or boto3.Session()).client("sagemaker-runtime")

    def predict(self, image: bytes | str | Path) -> dict[str, Any]:
        """The answer for an image file or its bytes.

        Returns:
            ``{"predicted_label": …, "confidence": 0…1, "probabilities": {class: 0…1}}``

        Raises:
            PredictionError: the endpoint refused the image; carries its code.
            FactoryError: there is no such endpoint, or it failed.
        """
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        return self._invoke(data, content_type(data))

    def predict_url(self, url: str) -> dict[str, Any]:
        """The answer for an image that the endpoint fetches itself; ``serving.image_url_hosts`` must allow it."""
        return self._invoke(json.dumps({"image_url": url}).encode(), invocation.JSON)

    def _invoke(self, body: bytes, kind: str) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self.endpoint_name, Body=body, ContentType=kind, Accept=invocation.JSON
            )
        except self._client.exceptions.ModelError as error:
            raise _model_error(error.response) from None
        except ClientError as error:
            detail = error.response["Error"]
            if detail["Code"] == "ValidationError" or "not found" in detail["Message"].lower():
                raise FactoryError(
                    f"endpoint {self.endpoint_name}: {detail['Message']}", "Which endpoints serve: cv-factory status"
                ) from None
            raise
        value: dict[str, Any] = json.loads(answer["Body"].read())
        return value


class PredictionError(FactoryError):
    """The endpoint answered with an error. ``code`` is one of :data:`contracts.invocation.ERRORS`, or empty."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"the endpoint answered {status}: {message}")
        self.status = status
        self.code = code


def content_type(data: bytes) -> str:
    """The content type by an image's first bytes; ``application/x-image`` where they tell nothing."""
    if data.startswith(_JPEG):
        return "image/jpeg"
    if data.startswith(_PNG):
        return "image/png"
    if data[:4] == _RIFF and data[8:12] == _WEBP:
        return "image/webp"
    return invocation.ANY_IMAGE


def _model_error(response: Any) -> PredictionError:
    status = int(response.get("OriginalStatusCode", 500))
    text = str(response.get("OriginalMessage", ""))
    try:
        error = json.loads(text)["error"]
        return PredictionError(status, str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return PredictionError(status, "", text or str(response.get("Error", {}).get("Message", "")))

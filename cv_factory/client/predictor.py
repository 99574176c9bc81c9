"""The client of one endpoint."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from contracts import invocation
from contracts.errors import DataError, FactoryError, UsageError
from cv_factory.client import answers, errors, payload, retries
from cv_factory.client.answers import Outcome, Prediction
from cv_factory.client.errors import DeadlineError, PredictionError
from cv_factory.client.payload import MAX_PAYLOAD_BYTES, Image, Payload
from cv_factory.client.retries import Deadline

if TYPE_CHECKING:
    import boto3

#: Seconds until a connection is there or is given up.
_CONNECT_SECONDS = 3.0
_OPERATION = "sagemaker-runtime.InvokeEndpoint"


class Predictor:
    """Calls one endpoint. Safe to use from several threads; connections are kept and used again.

    A request is sent again only when it was turned away for lack of room (throttling, the container's ``overloaded``)
    or when there was no connection to send it on.

    Args:
        endpoint_name: of the SageMaker endpoint.
        session: a boto3 session; by default boto3's own resolution of credentials, region and endpoint.
        deadline: seconds for one call, pauses and further tries included.
        connections: kept open, and requests at once of :meth:`predict_many`.
        max_payload_bytes: a larger request is not sent. SageMaker's limit unless set.
    """

    def __init__(
        self,
        endpoint_name: str,
        session: boto3.Session | None = None,
        *,
        deadline: float = 60.0,
        connections: int = 8,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        if deadline <= 0 or connections < 1 or max_payload_bytes < 1:
            raise UsageError(
                f"deadline {deadline}, connections {connections} and max_payload_bytes {max_payload_bytes}"
                " must be above 0"
            )
        import boto3
        from botocore.config import Config

        self.endpoint_name = endpoint_name
        self.deadline = deadline
        self.connections = connections
        self.max_payload_bytes = max_payload_bytes
        self._client: Any = (session or boto3.Session()).client(
            "sagemaker-runtime",
            config=Config(
                connect_timeout=min(_CONNECT_SECONDS, deadline),
                read_timeout=deadline,
                max_pool_connections=connections,
                tcp_keepalive=True,
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
        )
        self._time = threading.local()
        self._client.meta.events.register(f"before-send.{_OPERATION}", self._limit_wait)

    def predict(self, image: Image) -> Prediction:
        """The answer for an image: its bytes, its path, or an ``https://`` URL (see :meth:`predict_url`).

        Raises:
            PredictionError: the image was refused, or got no answer: ``status``, ``code`` and ``message`` say why.
            DataError: the file cannot be read.
            FactoryError: there is no such endpoint, or its answer is no prediction.
            botocore.exceptions.BotoCoreError, ClientError: no connection, no credentials, no permission.
        """
        deadline = Deadline.after(self.deadline)
        return answers.read_prediction(self._send(payload.single(image, self.max_payload_bytes), deadline))

    def predict_url(self, url: str) -> Prediction:
        """The answer for an image that the endpoint fetches itself; ``serving.image_url_hosts`` must allow it.

        Raises:
            UsageError: not an https URL.
            PredictionError: as :meth:`predict`; ``image_url_disabled``, ``image_url_refused``, ``image_url_failed``.
        """
        return answers.read_prediction(self._send(payload.for_url(url), Deadline.after(self.deadline)))

    def predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        """The answers for several images by one request, in their order; one bad image refuses all.

        The request is JSON, so the images grow by a third. Many images, or large ones: :meth:`predict_many`.

        Raises:
            PredictionError: as :meth:`predict`; the message names the image's place.
        """
        if not images:
            return []
        deadline = Deadline.after(self.deadline)
        body = self._send(payload.batch(images, self.max_payload_bytes), deadline)
        return answers.read_predictions(body, len(images))

    def predict_many(self, images: Iterable[Image]) -> Iterator[Outcome]:
        """One outcome for each image, in their order, with ``connections`` requests at once.

        Images are read when their turn comes; at most twice as many as there are connections are under way or wait to
        be fetched, however many there are.

        Raises:
            FactoryError, BotoCoreError, ClientError: what concerns every image: no endpoint, no connection, no
                permission. What concerns one image is the ``error`` of its outcome.
        """
        waiting: deque[Future[Outcome]] = deque()
        pool = ThreadPoolExecutor(self.connections, thread_name_prefix="predict")
        try:
            for image in images:
                waiting.append(pool.submit(self._outcome, image))
                if len(waiting) >= 2 * self.connections:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _outcome(self, image: Image) -> Outcome:
        try:
            return Outcome(image, prediction=self.predict(image))
        except (PredictionError, DataError) as error:
            return Outcome(image, error=error)

    def _send(self, request: Payload, deadline: Deadline) -> bytes:
        body: bytes = retries.call(lambda until: self._attempt(request, until), deadline)
        return body

    def _attempt(self, request: Payload, deadline: Deadline) -> bytes:
        from botocore import exceptions as aws

        self._time.left = max(deadline.left, 0.001)
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self.endpoint_name,
                Body=request.body,
                ContentType=request.content_type,
                Accept=invocation.JSON,
            )
            body: bytes = answer["Body"].read()
            return body
        except self._client.exceptions.ModelError as error:
            raise errors.from_model(error.response) from None
        except aws.ClientError as error:
            raise self._refused(error) from None
        except aws.ReadTimeoutError:
            raise DeadlineError(deadline.seconds) from None
        except (aws.ConnectionClosedError, aws.ResponseStreamingError, aws.IncompleteReadError) as error:
            message = "the connection was closed before the answer was there"
            raise PredictionError(0, "no_answer", message, headline=f"{message}: {error}") from None

    def _refused(self, error: Any) -> Exception:
        """What SageMaker's own error means: of this image, of every image, or of who asks (then as it is)."""
        detail = error.response.get("Error", {})
        code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
        if code == "ValidationError" and "not found" in message.lower():
            return FactoryError(f"endpoint {self.endpoint_name}: {message}", "Which endpoints serve: cv-factory status")
        found = errors.from_sagemaker(error.response)
        is_of_this_request = code == "ValidationError" or found.status >= 500 or retries.is_throttled(found)
        return found if is_of_this_request else error

    def _limit_wait(self, request: Any, **_: Any) -> None:
        """No try waits for data longer than its call has time."""
        context = getattr(request, "context", None)
        if context is not None:
            context["read_timeout"] = self._time.left

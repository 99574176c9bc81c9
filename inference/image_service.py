"""The image model as a :class:`~inference.exchange.Service`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from contracts import invocation
from inference.batching import Batcher
from inference.errors import RequestError
from inference.exchange import Call, Reply
from inference.handler import Answer, Handler
from inference.images import Pixels
from inference.predictor import Prediction
from inference.wire import check_accept, unzip


class ImageService:
    """Answers with the bundle in ``model_dir``; raises ContractError when that cannot be served."""

    def __init__(self, handler: Handler, model_dir: Path) -> None:
        self._handler = handler
        self._predictor = handler.model_fn(model_dir)
        spec = self._predictor.spec
        self._predict: Callable[[Sequence[Pixels]], list[Prediction]] = self._predictor.predict_pixels
        self.micro_batch = spec.micro_batch
        if spec.micro_batch > 1:
            self._predict = Batcher(self._predictor.predict_pixels, spec.micro_batch, spec.micro_batch_ms / 1000)

    def describe(self) -> str:
        spec = self._predictor.spec
        return f"bundle {spec.bundle_hash[:12]}, {len(spec.classes)} classes, {self._predictor.precision}"

    def check(self, headers: Sequence[tuple[str, str]]) -> None:
        media_type = next((value for name, value in headers if name == "content-type"), "").partition(";")[0]
        lines = media_type.strip().lower() == invocation.JSON_LINES
        accept = ",".join(value for name, value in headers if name == "accept")
        check_accept(accept, (invocation.JSON_LINES, invocation.JSON) if lines else invocation.ACCEPTS)
        coding = next((value for name, value in headers if name == "content-encoding"), "identity").strip().lower()
        if coding not in ("identity", "gzip", ""):
            raise RequestError("unsupported_media_type", f"The Content-Encoding is {coding[:40]!r}; it may be gzip.")

    def still_runs(self) -> None:
        self._predictor.warm_up()

    def answer(self, call: Call) -> Reply:
        handler, record = self._handler, call.record
        with record.stage("decode"):
            body = call.body
            # SageMaker passes no Content-Encoding on; no image and no JSON document begins with gzip's two bytes.
            if (call.header("content-encoding") or "").strip().lower() == "gzip" or body[:2] == b"\x1f\x8b":
                body = unzip(body, handler.options.max_body_bytes)
            request = handler.input_fn(body, call.header("content-type"))
            pixels, request = handler.decode(request, self._predictor)
        with record.stage("model"):
            predictions = self._predict(pixels) if pixels else []
            answer = Answer(tuple(predictions), request.form, request.errors)
        record.predictions = [(one.label, one.confidence) for one in answer.predictions]
        with record.stage("encode"):
            return Reply(*handler.output_fn(answer, call.accept))

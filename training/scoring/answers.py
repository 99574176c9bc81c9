"""Asking a bundle as a client of the endpoint would, one image at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contracts import hashing, invocation
from contracts.bundle import FLOAT32
from contracts.dataset import PreparedImage
from contracts.errors import DataError
from inference.errors import RequestError
from inference.handler import Handler, Options
from inference.predictor import Prediction, Predictor
from training.scoring.metrics import Floats

#: Preprocess has refused what is too large; here nothing is.
_UNLIMITED = Options(max_body_bytes=2**50, max_pixels=2**50, max_instances=1)
_REPORT_EVERY = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bundle answered for an image of the test split, and how long it took (seconds, on one thread)."""

    image: PreparedImage
    prediction: Prediction
    seconds: float


class Bundle:
    """An unpacked bundle behind the endpoint's handler, with one of its graphs, on one thread, warm."""

    def __init__(self, folder: Path, precision: str = FLOAT32) -> None:
        self._handler = Handler(replace(_UNLIMITED, precision=precision), threads=1)
        self.predictor: Predictor = self._handler.model_fn(folder)

    def ask(self, items: Iterable[tuple[PreparedImage, bytes]], name: str) -> list[Answer]:
        """The answers for images and their files, sorted by path.

        Args:
            name: of the model, for the lines that show progress.

        Raises:
            DataError: a file is not what the manifest says, or cannot be decoded.
        """
        answers = []
        for image, data in items:
            if hashing.of_bytes(data) != image.sha256:
                raise DataError(
                    f"{image.path} is not what the manifest says: its hash differs", "Run Preprocess again."
                )
            started = time.perf_counter()
            try:
                request = self._handler.input_fn(data, invocation.ANY_IMAGE)
                answer = self._handler.predict_fn(request, self.predictor)
                self._handler.output_fn(answer)
            except RequestError as error:
                raise DataError(f"{image.path} cannot be scored: {error.message}", "Import the data again.") from None
            answers.append(Answer(image, answer.predictions[0], time.perf_counter() - started))
            if len(answers) % _REPORT_EVERY == 0:
                print(f"{name}: {len(answers)} images scored", flush=True)
        print(f"{name}: {len(answers)} images scored", flush=True)
        return sorted(answers, key=lambda answer: answer.image.path)


def milliseconds(answers: Iterable[Answer]) -> Floats:
    """``(N,)`` how long each answer took."""
    return np.array([answer.seconds * 1000 for answer in answers], np.float64)

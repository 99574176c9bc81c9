"""A bundle on ONNX Runtime: bytes of images in, labels and probabilities out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts import bundle
from contracts.bundle import BundleSpec
from contracts.errors import ContractError
from inference import images
from inference.images import Limits, Pixels

# The Linux wheel of ONNX Runtime reports home unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort  # type: ignore[import-untyped]

Floats = NDArray[np.float32]

#: What SageMaker's real-time endpoints accept, and 25 million pixels. The server takes its limits from its environment.
DEFAULT_LIMITS = Limits(max_bytes=6 * 1024 * 1024, max_pixels=25_000_000)

#: Images that go through the network at once, unless the bundle asks for more. On CPUs more costs memory for no gain.
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image.

    Attributes:
        label: the class that is answered.
        confidence: the probability of ``label``, 0…1.
        probabilities: class -> probability, in the order of the bundle's classes; they sum to 1.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]


class Predictor:
    """A bundle, loaded and checked.

    Thread-safe: several threads may predict at once; each call uses ``threads`` threads for its own arithmetic.

    Args:
        folder: the unpacked bundle.
        threads: for the arithmetic of one call.
        limits: for each image.
        verify: compare the content with the bundle's hash.
        precision: which of the bundle's graphs answers, with its own temperature and thresholds.

    Raises:
        ContractError: the bundle is incomplete, was changed, or its graph is not what :mod:`contracts.bundle` says.
    """

    def __init__(
        self,
        folder: Path,
        threads: int = 1,
        *,
        limits: Limits = DEFAULT_LIMITS,
        verify: bool = True,
        precision: str = bundle.FLOAT32,
    ) -> None:
        self.spec = bundle.read(folder, verify=verify).at(precision)
        self.precision = precision
        self.limits = limits
        _check_spec(self.spec)
        self._session = _open_session(folder / bundle.GRAPHS[precision], threads)
        _check_graph(self._session, self.spec)
        # (1, C, 1, 1), so that they apply to a batch of images channel by channel.
        self._mean = np.asarray(self.spec.mean, np.float32).reshape(1, -1, 1, 1)
        self._std = np.asarray(self.spec.std, np.float32).reshape(1, -1, 1, 1)

    def predict(self, data: Sequence[bytes]) -> list[Prediction]:
        """One answer for each image file.

        Raises:
            BadImage: an image cannot be used.
        """
        return self._answers(self.probabilities(data))

    def predict_pixels(self, pixels: Sequence[Pixels]) -> list[Prediction]:
        """:meth:`predict` for images that :meth:`pixels` already made, each ``(S, S, C) uint8``."""
        return self._answers(self._probabilities(pixels))

    def probabilities(self, data: Sequence[bytes]) -> Floats:
        """``(N, classes) float32`` for N image files of any size; each row sums to 1.

        Raises:
            BadImage: an image cannot be used.
        """
        return self._probabilities(self.pixels(item) for item in data)

    def pixels(self, data: bytes) -> Pixels:
        """What the network sees of one image file before it is normalised, ``(S, S, C) uint8``."""
        return images.load(data, self.spec.color_mode, self.spec.input_size, self.limits)

    def logits(self, pixels: Pixels) -> Floats:
        """``(N, S, S, C) uint8`` -> the network's output, ``(N, classes) float32``.

        Raises:
            ArithmeticError: the network answered a number that is not finite.
        """
        normalised = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
        normalised -= self._mean
        normalised /= self._std
        logits: Floats = self._session.run([bundle.OUTPUT_NAME], {bundle.INPUT_NAME: normalised})[0]
        if not np.isfinite(logits).all():
            raise ArithmeticError("the network answered a number that is not finite")
        return logits

    def _probabilities(self, pixels: Iterable[Pixels]) -> Floats:
        remaining = iter(pixels)
        largest = max(_BATCH, self.spec.micro_batch)
        parts = []
        while batch := list(islice(remaining, largest)):
            parts.append(softmax(self.logits(np.stack(batch)), self.spec.temperature))
        return np.concatenate(parts) if parts else np.empty((0, len(self.spec.classes)), np.float32)

    def _answers(self, rows: Floats) -> list[Prediction]:
        classes = self.spec.classes
        answers = []
        for row in rows:
            chosen = decide(row, self.spec)
            probabilities = {name: float(value) for name, value in zip(classes, row, strict=True)}
            answers.append(Prediction(classes[chosen], float(row[chosen]), probabilities))
        return answers

    def warm_up(self) -> None:
        """Run the network once, so that the first request is not the slow one; raises what a request would."""
        size = self.spec.input_size
        self.logits(np.zeros((1, size, size, self.spec.channels), np.uint8))


def softmax(logits: Floats, temperature: float) -> Floats:
    """Rows of probabilities from rows of logits divided by ``temperature`` (Guo et al. 2017, arXiv:1706.04599)."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    rows: Floats = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows


def decide(probabilities: NDArray[np.floating], spec: BundleSpec) -> int:
    """The index of the class that is answered for one row of probabilities.

    Two classes with a threshold: the positive class if its probability reaches it, else the other one. More classes:
    the most probable of those that reach their threshold (a class without one always does); when none does, the most
    probable of all.
    """
    if not spec.thresholds:
        return int(probabilities.argmax())
    if len(spec.classes) == 2:
        ((name, threshold),) = spec.thresholds.items()
        positive = spec.classes.index(name)
        return positive if probabilities[positive] >= threshold else 1 - positive
    least = np.array([spec.thresholds.get(name, 0.0) for name in spec.classes])
    reached = probabilities >= least
    return int(np.where(reached, probabilities, -1.0).argmax() if reached.any() else probabilities.argmax())


def _open_session(path: Path, threads: int) -> ort.InferenceSession:
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only
    # Spinning threads would take the cores from the other requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(path, options, providers=providers(ort.get_available_providers()))
    except Exception as error:  # the library's own exceptions have no common base
        reason = str(error).strip().splitlines()[0][:300]
        raise ContractError(f"{path.name} cannot be loaded: {reason}", "Train the model again.") from None


def providers(available: Sequence[str]) -> list[str]:
    """Where the graph runs, by preference: on a GPU if this build of ONNX Runtime can use one, else on the CPU.

    The list always ends with the CPU: without a device the library goes on there by itself.

    Args:
        available: what ``onnxruntime.get_available_providers`` says.
    """
    return [*(name for name in ("CUDAExecutionProvider",) if name in available), "CPUExecutionProvider"]


def _check_spec(spec: BundleSpec) -> None:
    classes = spec.classes
    named = set(spec.thresholds)
    wrong = {
        "classes": len(classes) < 2 or len(set(classes)) != len(classes),
        "color_mode": spec.color_mode not in (images.GREY, images.COLOUR),
        "input_size": not 1 <= spec.input_size <= 4096,
        "mean": len(spec.mean) != spec.channels,
        "std": len(spec.std) != spec.channels or not all(value > 0 for value in spec.std),
        "temperature": not spec.temperature > 0,
        "micro_batch": not 1 <= spec.micro_batch <= 256 or not 0 <= spec.micro_batch_ms <= 1000,
        "thresholds": not named <= set(classes)
        or (len(classes) == 2 and bool(named) and named != {spec.positive_class}),
    }
    names = [name for name, is_wrong in wrong.items() if is_wrong]
    if names:
        raise ContractError(f"{bundle.SPEC} has unusable values: {', '.join(names)}", "Train the model again.")


def _check_graph(session: ort.InferenceSession, spec: BundleSpec) -> None:
    shapes = {item.name: list(item.shape) for item in (*session.get_inputs(), *session.get_outputs())}
    size, channels, classes = spec.input_size, spec.channels, len(spec.classes)
    expected = {bundle.INPUT_NAME: [channels, size, size], bundle.OUTPUT_NAME: [classes]}
    for name, fixed in expected.items():
        shape = shapes.get(name)
        # The batch is free; a dimension that the graph leaves open has a name instead of a number.
        fits = shape is not None and len(shape) == len(fixed) + 1 and not isinstance(shape[0], int)
        if not fits or any(isinstance(have, int) and have != want for have, want in zip(shape[1:], fixed, strict=True)):  # type: ignore[index]
            raise ContractError(
                f"{bundle.MODEL} has {name} of shape {shape}; {bundle.SPEC} asks for {['N', *fixed]}",
                "Train the model again.",
            )

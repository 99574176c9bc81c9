"""The model bundle, ``model.tar.gz``: what ``train`` exports, ``evaluate`` scores and the endpoint serves.

Members: ``bundle.json`` (a :class:`BundleSpec`), ``model.onnx``, ``weights.safetensors``, ``golden.json`` (precision ->
requests with the expected answers), and ``model.int8.onnx`` where the network could be quantised. Nothing in it is
pickled, and no member holds a time, a job's name or a host.

The graph's input is ``image``, ``(N, C, S, S) float32`` normalised by ``(pixel - mean) / std`` with pixels 0…255; its
output is ``logits``, ``(N, classes) float32``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from contracts import hashing, jsonio
from contracts.errors import ContractError

FORMAT_VERSION = 1

ARCHIVE = "model.tar.gz"
SPEC = "bundle.json"
MODEL = "model.onnx"
INT8_MODEL = "model.int8.onnx"
WEIGHTS = "weights.safetensors"
GOLDEN = "golden.json"

#: What a bundle is served with: one of its graphs.
FLOAT32, INT8 = "float32", "int8"
PRECISIONS = (FLOAT32, INT8)
GRAPHS = {FLOAT32: MODEL, INT8: INT8_MODEL}

_LATER = ("int8", "micro_batch", "micro_batch_ms")

INPUT_NAME = "image"
OUTPUT_NAME = "logits"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a graph's logits become answers; see :class:`BundleSpec`."""

    temperature: float
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BundleSpec:
    """``bundle.json``.

    Attributes:
        classes: in the order of the graph's output; sorted.
        positive_class: the class that precision and recall speak of, two classes only.
        input_size: S, pixels.
        color_mode: ``L`` (C = 1) or ``RGB`` (C = 3).
        mean, std: per channel, on the scale 0…255.
        temperature: logits are divided by it before the softmax.
        thresholds: class -> smallest probability at which the class is answered; a class that is not named has none.
            With two classes only the positive one may be named. Without any, the most probable class is answered.
        dataset_hash: of the imported dataset it was trained on.
        source_hash: of the training sources and their lock.
        recipe: name of the training recipe.
        protocol: how the split was cut; every metric names it.
        licence: of the training images, empty when unknown.
        int8: what holds for the quantised graph; None: the bundle has none.
        micro_batch: images of several requests that may go through the graph together; 1: each request by itself.
        micro_batch_ms: that the first of them waits for others.
        bundle_hash: see :func:`bundle_hash`; empty only while it is being computed.
    """

    classes: tuple[str, ...]
    positive_class: str | None
    input_size: int
    color_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float
    thresholds: Mapping[str, float]
    dataset_hash: str
    source_hash: str
    recipe: str
    protocol: str
    licence: str = ""
    bundle_hash: str = ""
    format_version: int = FORMAT_VERSION
    int8: Calibration | None = None
    micro_batch: int = 1
    micro_batch_ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BundleSpec:
        if value.get("format_version") != FORMAT_VERSION:
            raise ContractError(
                f"the bundle has format version {value.get('format_version')!r}; this code reads {FORMAT_VERSION}",
                "Train the model again, or serve it with the image that it was registered with.",
            )
        try:
            spec = cls(**{name: value[name] for name in cls.__slots__ if name not in _LATER})
            # Bundles from before there were these fields do not name them.
            int8 = None if value.get("int8") is None else Calibration(**value["int8"])
            spec = replace(spec, **{name: value[name] for name in ("micro_batch", "micro_batch_ms") if name in value})
        except (KeyError, TypeError) as error:
            raise ContractError(f"bundle.json is incomplete: {error}") from None
        return replace(spec, classes=tuple(spec.classes), mean=tuple(spec.mean), std=tuple(spec.std), int8=int8)

    def at(self, precision: str) -> BundleSpec:
        """The spec with the temperature and the thresholds of the graph of ``precision``.

        Raises:
            ContractError: the bundle has no such graph.
        """
        if precision == FLOAT32:
            return self
        if precision != INT8 or self.int8 is None:
            has = FLOAT32 if self.int8 is None else " and ".join(PRECISIONS)
            raise ContractError(
                f"the bundle has no graph of precision {precision!r}; it has {has}",
                "Train the model again, or serve it with the precision that its evaluation names.",
            )
        return replace(self, temperature=self.int8.temperature, thresholds=self.int8.thresholds)

    @property
    def channels(self) -> int:
        return 1 if self.color_mode == "L" else 3


def bundle_hash(folder: Path) -> str:
    """The identity of a bundle that lies unpacked in ``folder``.

    SHA-256 over the sorted (name, SHA-256) of all members but ``bundle.json``, and of ``bundle.json`` without its field
    ``bundle_hash``. The archive's own bytes never matter.
    """
    members = {
        path.relative_to(folder).as_posix(): hashing.of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / SPEC
    }
    return hash_of(members, jsonio.read(folder / SPEC))


def hash_of(members: Mapping[str, str], spec: Mapping[str, Any]) -> str:
    """The same from what is known of a bundle: name -> SHA-256 of all members but ``bundle.json``, and its value."""
    unnamed = {name: value for name, value in spec.items() if name != "bundle_hash"}
    return hashing.of_value({"members": sorted(members.items()), "spec": unnamed})


def seal(folder: Path, spec: BundleSpec) -> BundleSpec:
    """Write ``bundle.json`` with its hash into ``folder`` and return the sealed spec."""
    jsonio.write(folder / SPEC, replace(spec, bundle_hash="").to_json())
    sealed = replace(spec, bundle_hash=bundle_hash(folder))
    jsonio.write(folder / SPEC, sealed.to_json())
    return sealed


def read(folder: Path, *, verify: bool = True) -> BundleSpec:
    """The spec of the bundle in ``folder``.

    Raises:
        ContractError: a member is missing or, with ``verify``, the content is not what ``bundle_hash`` says.
    """
    spec = BundleSpec.from_json(jsonio.read(folder / SPEC))
    for name in (MODEL, *([INT8_MODEL] if spec.int8 else [])):
        if not (folder / name).is_file():
            raise ContractError(f"the bundle has no {name}")
    if verify and bundle_hash(folder) != spec.bundle_hash:
        raise ContractError(
            "the bundle's content is not what its hash says",
            "A member was changed after training. Use the bundle from the registry.",
        )
    return spec

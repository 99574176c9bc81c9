"""The same with what is shipped: the product's server and network, a canary, 20 requests a second.

The good bundle is trained by the product's own steps on generated images (:mod:`benchmarks.serving.bundles`). The bad
one is the same with its two outputs swapped and sealed again, so that its hash is right. Its golden requests are the
good one's: they would find it after the shift, but the guard ``label_shift`` finds it in the canary. Who answered is
seen in the probabilities of each image, which the good model was asked for before; any request that fails is lost.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from benchmarks.bad_model import cell, load, measure
from benchmarks.bad_model.cell import Found
from benchmarks.bad_model.load import Asked, Plan
from benchmarks.bad_model.measure import Read
from benchmarks.bad_model.place import Place, opened
from benchmarks.serving import bundles
from contracts import archives, bundle, dataset, hashing
from deployment.packages import Package

RATE = 20.0
KIND = "outputs swapped"
_IMAGES = 24
_TYPE = "image/jpeg"
#: The most usual label of the good model is asked for so often, if it has two.
_USUAL = 0.8
#: An image whose two probabilities are nearer than this does not tell who answered.
_CLEAR = 0.02


def swapped(model: Path, folder: Path) -> Path:
    """A copy of a bundle whose network gives its two classes in the other order; sealed."""
    shutil.copytree(model, folder)
    for name in (bundle.MODEL, bundle.INT8_MODEL):
        if not (folder / name).exists():
            continue
        graph = onnx.load(folder / name)
        (output,) = graph.graph.output
        inner = f"{output.name}_right"
        for node in graph.graph.node:
            for number, one in enumerate(node.output):
                if one == output.name:
                    node.output[number] = inner
        order = onnx.helper.make_tensor("other_order", onnx.TensorProto.INT64, [2], [1, 0])
        graph.graph.initializer.append(order)
        graph.graph.node.append(onnx.helper.make_node("Gather", [inner, "other_order"], [output.name], axis=1))
        onnx.checker.check_model(graph)
        onnx.save(graph, folder / name)
    bundle.seal(folder, replace(bundle.read(model), bundle_hash=""))
    return folder


def package(place: Place, model: Path) -> Package:
    """A package of a bundle folder that waits for its approval."""
    spec, stream = bundle.read(model), io.BytesIO()
    archives.pack_folder(stream, model)
    key = f"{dataset.DATASETS_PREFIX}{spec.dataset_hash[: hashing.SHORT]}/{dataset.MANIFEST}"
    place.made.put(place.made.names.data_bucket, key, b"{}")
    return place.made.package(
        bundle_hash=spec.bundle_hash, body=stream.getvalue(), of_dataset=spec.dataset_hash, of_source=spec.source_hash,
        approval="PendingManualApproval",
    )  # fmt: skip


def run(folder: Path) -> Found:
    """Do it in an empty folder."""
    began = time.monotonic()
    folder.mkdir(parents=True)
    cell.say("real: training the good bundle")
    model = bundles.shipped(folder / "good")
    found = Found("canary", KIND)
    with opened(folder, "canary", toy=False) as place:
        serves = place.serve(package(place, model))
        bad = package(place, swapped(model, folder / "bad"))
        images = bundles.jpegs(_IMAGES, seed=7)
        right = [_ask(place, image) for image in images]
        clear = [number for number, one in enumerate(right) if abs(_first(one) - 0.5) > _CLEAR]
        images, right = [images[number] for number in clear], [right[number] for number in clear]
        plan = Plan(
            place.url, place.made.release.region, place.endpoint,
            tuple(base64.b64encode(image).decode() for image in images), _weights(right), _TYPE, RATE, False,
            str(folder / "asked.jsonl"),
        )  # fmt: skip
        with load.running(plan):
            stages = cell.approved(place, bad.arn, serves, Path(plan.file), found)
    asked = load.read(Path(plan.file))
    reads = sorted((_read(one, right[one.body]) for one in asked if one.status == 200), key=lambda one: one.at)
    found.back = found.back and all(one.who == "good" for one in reads[-cell.AFTER :])
    found.shares = measure.shares(reads, "bad", stages)
    found.bad, found.asked = sum(one.who == "bad" for one in reads), len(asked)
    found.lost = len(asked) - len(reads) + sum(one.who == "nobody" for one in reads)
    found.by = dict(measure.by_status(asked, reads))
    found.expected = found.caught == "label_shift"
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _ask(place: Place, image: bytes) -> dict[str, Any]:
    runtime = place.made.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=place.endpoint, Body=image, ContentType=_TYPE)
    value: dict[str, Any] = json.loads(answer["Body"].read())
    return value


def _first(answer: dict[str, Any]) -> float:
    return float(answer["probabilities"][min(answer["probabilities"])])


def _weights(right: list[dict[str, Any]]) -> tuple[float, ...]:
    """So that the first image's label is :data:`_USUAL` of all answers; equal where all have the same label."""
    usual = [one["predicted_label"] == right[0]["predicted_label"] for one in right]
    if all(usual):
        return (1.0,) * len(right)
    return tuple(_USUAL / sum(usual) if mine else (1 - _USUAL) / (len(usual) - sum(usual)) for mine in usual)


def _read(one: Asked, right: dict[str, Any]) -> Read:
    """Who answered: the good model, the bad one, or what is neither's answer (``nobody``)."""
    got, wanted = _first(one.answer), _first(right)
    who = "good" if abs(got - wanted) < _CLEAR / 2 else "bad" if abs(got - (1 - wanted)) < _CLEAR / 2 else "nobody"
    return Read(one.end, who, one.id, died=False)

"""The predictor against the closed form of the bundle that was made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts import bundle, jsonio
from contracts.errors import ContractError
from inference.images import BadImage, Limits
from inference.predictor import Predictor, decide, providers, softmax
from tests.inference import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("value", [0, 60, 127, 128, 200, 255])
def test_prediction_is_the_closed_form(folder: Path, value: int) -> None:
    (answer,) = Predictor(folder).predict([tiny.picture(value)])
    light = tiny.light_probability(value)
    assert answer.probabilities == pytest.approx({"dark": 1 - light, "light": light}, abs=1e-6)
    assert answer.label == ("light" if value > 127.5 else "dark")
    assert answer.confidence == answer.probabilities[answer.label]


def test_images_of_different_sizes_formats_and_modes_in_one_batch(folder: Path) -> None:
    pictures = [
        tiny.picture(value, size=size, mode=mode, format_=format_)
        for value, size, mode, format_ in [
            (10, (8, 8), "L", "PNG"),
            (250, (300, 20), "RGB", "PNG"),
            (90, (1, 1), "L", "JPEG"),
            (180, (64, 64), "RGB", "WEBP"),
        ]
    ]
    rows = Predictor(folder).probabilities(pictures)
    assert rows.shape == (4, 2) and rows.dtype == np.float32
    assert rows[:, 1] == pytest.approx([tiny.light_probability(value) for value in (10, 250, 90, 180)], abs=0.03)
    assert rows.sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_many_images_are_answered_in_order_and_none_is_an_empty_answer(folder: Path) -> None:
    predictor = Predictor(folder)
    values = list(range(0, 250, 5))
    rows = predictor.probabilities([tiny.picture(value) for value in values])
    assert rows[:, 1] == pytest.approx([tiny.light_probability(value) for value in values], abs=1e-6)
    assert predictor.predict([]) == []
    assert predictor.probabilities([]).shape == (0, 2)


def test_colour_bundles_normalise_each_channel(tmp_path: Path) -> None:
    mean, std = (10.0, 100.0, 200.0), (10.0, 20.0, 50.0)
    tiny.write_bundle(tmp_path, color_mode="RGB", mean=mean, std=std, weights=(0.0, 1.0))
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 30, 60, 250
    expected = ((30 - 10) / 10 + (60 - 100) / 20 + (250 - 200) / 50) / 3
    assert Predictor(tmp_path).logits(pixels)[0].tolist() == pytest.approx([0, expected], abs=1e-6)


def test_temperature_softens_and_keeps_the_label(tmp_path: Path) -> None:
    tiny.write_bundle(tmp_path, temperature=4.0)
    (answer,) = Predictor(tmp_path).predict([tiny.picture(255)])
    assert answer.probabilities["light"] == pytest.approx(tiny.light_probability(255, temperature=4.0), abs=1e-6)
    assert answer.label == "light"


def test_softmax_of_large_logits_is_finite() -> None:
    rows = softmax(np.array([[1000.0, 0.0], [-1000.0, 0.0]], np.float32), 0.5)
    assert rows.tolist() == [[1, 0], [0, 1]]


def test_a_threshold_of_the_positive_class_decides(tmp_path: Path) -> None:
    for threshold, label in ((0.10, "light"), (0.20, "dark")):
        tiny.write_bundle(tmp_path, thresholds={"light": threshold})
        (answer,) = Predictor(tmp_path).predict([tiny.picture(100)])  # P(light) = 0.151
        assert answer.label == label
        assert answer.confidence == pytest.approx({"light": 0.151, "dark": 0.849}[label], abs=1e-3)


def test_thresholds_of_several_classes() -> None:
    spec = tiny.make_spec(classes=("a", "b", "c"), positive_class=None, thresholds={"a": 0.6})
    assert decide(np.array([0.5, 0.3, 0.2]), spec) == 1  # "a" is not sure enough
    assert decide(np.array([0.6, 0.3, 0.1]), spec) == 0
    everyone = tiny.make_spec(classes=("a", "b", "c"), positive_class=None, thresholds={"a": 0.9, "b": 0.9, "c": 0.9})
    assert decide(np.array([0.5, 0.3, 0.2]), everyone) == 0


def test_an_unusable_image_is_named_as_such(folder: Path) -> None:
    predictor = Predictor(folder, limits=Limits(10_000, 1_000))
    with pytest.raises(BadImage, match="10000 pixels; at most 1000"):
        predictor.predict([tiny.picture(5), tiny.picture(5, size=(100, 100))])


def test_threads_share_one_predictor(folder: Path) -> None:
    predictor = Predictor(folder)
    values = list(range(0, 256, 4))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda value: predictor.predict([tiny.picture(value)])[0], values))
    assert [answer.probabilities["light"] for answer in answers] == pytest.approx(
        [tiny.light_probability(value) for value in values], abs=1e-6
    )


def test_a_changed_member_is_noticed(folder: Path) -> None:
    tiny.write_model(folder / bundle.MODEL, weights=(4.0, -4.0))
    with pytest.raises(ContractError, match="not what its hash says"):
        Predictor(folder)


def test_a_model_that_is_no_onnx_is_one_readable_line(folder: Path) -> None:
    (folder / bundle.MODEL).write_bytes(b"no model")
    with pytest.raises(ContractError, match=r"model\.onnx cannot be loaded") as caught:
        Predictor(folder, verify=False)
    assert "\n" not in caught.value.headline
    (folder / bundle.MODEL).unlink()
    with pytest.raises(ContractError, match=r"no model\.onnx"):
        Predictor(folder, verify=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ("dark",)},
        {"classes": ("dark", "dark")},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"std": (0.0,)},
        {"mean": (1.0, 2.0)},
        {"color_mode": "HSV"},
        {"thresholds": {"dark": 0.5}},
        {"thresholds": {"other": 0.5}},
    ],
)
def test_an_unusable_spec_is_refused(folder: Path, changes: dict[str, object]) -> None:
    spec = tiny.make_spec(**changes).to_json()
    (folder / bundle.SPEC).write_text(json.dumps(spec))
    (name,) = changes
    with pytest.raises(ContractError, match=name):
        Predictor(folder, verify=False)


@pytest.mark.parametrize(
    "model",
    [
        {"size": 16},
        {"channels": 3},
        {"weights": (1.0, 2.0, 3.0)},
        {"names": ("pixels", "logits")},
        {"names": ("image", "scores")},
    ],
)
def test_a_graph_that_does_not_fit_the_spec_is_refused(folder: Path, model: dict[str, object]) -> None:
    tiny.write_model(folder / bundle.MODEL, **model)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="asks for"):
        Predictor(folder, verify=False)


def test_a_network_that_answers_no_number_is_an_error(tmp_path: Path) -> None:
    tiny.write_bundle(tmp_path, weights=(float("inf"), 1.0))
    with pytest.raises(ArithmeticError, match="not finite"):
        Predictor(tmp_path).warm_up()


def test_another_format_version_is_refused(folder: Path) -> None:
    spec = jsonio.read(folder / bundle.SPEC)
    jsonio.write(folder / bundle.SPEC, {**spec, "format_version": 99})
    with pytest.raises(ContractError, match="format version 99"):
        Predictor(folder)


def test_the_serving_code_imports_nothing_of_training() -> None:
    script = (
        "import sys, inference.images, inference.predictor\n"
        "print(sorted({'torch', 'timm', 'onnx', 'boto3', 'sklearn', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_graph_answers_with_its_own_temperature(tmp_path: Path) -> None:
    tiny.write_model(tmp_path / "other.onnx", weights=(-2.0, 2.0))
    members = {bundle.INT8_MODEL: (tmp_path / "other.onnx").read_bytes()}
    tiny.write_bundle(tmp_path / "b", members=members, int8=bundle.Calibration(0.5, {"light": 0.9999}))
    assert Predictor(tmp_path / "b").predict([tiny.picture(255)])[0].confidence == pytest.approx(
        tiny.light_probability(255)
    )
    (answer,) = Predictor(tmp_path / "b", precision=bundle.INT8).predict([tiny.picture(255)])
    # Half the weights at half the temperature give the same logits; the threshold of its own is not reached.
    assert answer.probabilities["light"] == pytest.approx(tiny.light_probability(255))
    assert answer.label == "dark"


def test_a_precision_that_the_bundle_lacks_is_refused(tmp_path: Path) -> None:
    tiny.write_bundle(tmp_path)
    with pytest.raises(ContractError, match="no graph of precision 'int8'; it has float32"):
        Predictor(tmp_path, precision=bundle.INT8)


def test_a_micro_batch_goes_through_the_network_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_bundle(tmp_path, micro_batch=40)
    predictor = Predictor(tmp_path)
    sizes: list[int] = []
    logits = predictor.logits

    def count(pixels: Any) -> Any:
        sizes.append(len(pixels))
        return logits(pixels)

    monkeypatch.setattr(predictor, "logits", count)
    values = list(range(0, 240, 6))
    answers = predictor.predict_pixels([predictor.pixels(tiny.picture(value)) for value in values])
    assert sizes == [40]
    for value, answer in zip(values, answers, strict=True):
        assert answer.probabilities["light"] == pytest.approx(tiny.light_probability(value), abs=1e-5)


def test_a_bundle_from_before_there_were_two_graphs_is_read(tmp_path: Path) -> None:
    tiny.write_bundle(tmp_path)
    value = jsonio.read(tmp_path / bundle.SPEC)
    del value["int8"], value["bundle_hash"]
    jsonio.write(tmp_path / bundle.SPEC, value)
    jsonio.write(tmp_path / bundle.SPEC, {**value, "bundle_hash": bundle.bundle_hash(tmp_path)})
    assert Predictor(tmp_path).spec.int8 is None


@pytest.mark.parametrize(
    ("available", "wanted"),
    [
        (["CPUExecutionProvider"], ["CPUExecutionProvider"]),
        (["AzureExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]),
        (
            ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
        ),
    ],
)
def test_a_gpu_comes_before_the_cpu(available: list[str], wanted: list[str]) -> None:
    assert providers(available) == wanted

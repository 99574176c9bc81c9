"""What is answered, as a value, and how little the client brings along."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys

import pytest

from contracts.errors import ContractError
from cv_factory.client import Prediction, content_type
from cv_factory.client.answers import read_prediction, read_predictions
from tests.contract.test_rooms import HEAVY
from tests.cv_factory.client.conftest import ANSWER
from tests.cv_factory.helpers import ROOT, encoded

PREDICTION = Prediction("b", 0.75, {"a": 0.25, "b": 0.75})


def test_the_client_brings_nothing_along_but_boto3() -> None:
    """No boto3 either, before there is a Predictor."""
    unwanted = sorted(HEAVY | {"typer", "rich", "pydantic", "yaml", "numpy", "PIL", "boto3", "botocore"})
    code = (
        "import sys\nfrom cv_factory.client import Predictor\n"
        f"print([name for name in {unwanted} if name in sys.modules])\n"
        "import boto3\nPredictor('x', boto3.Session('a', 'b', region_name='eu-west-1'))\n"
        f"print([name for name in {unwanted[:-2]} if name in sys.modules and 'boto' not in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n[]\n"


def test_an_answer_is_typed_and_frozen_and_a_mapping_too() -> None:
    answer = read_prediction(json.dumps(ANSWER).encode())
    assert (answer.predicted_label, answer.confidence, answer.probabilities["a"]) == ("b", 0.75, 0.25)
    assert answer["predicted_label"] == "b" and dict(answer) == {**answer} == ANSWER
    assert answer == ANSWER == answer.to_json() and answer == PREDICTION
    assert json.loads(json.dumps(answer.to_json())) == ANSWER
    assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301 - it goes between processes
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.confidence = 1.0  # type: ignore[misc]
    with pytest.raises(KeyError):
        answer["label"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b'{"predicted_label": "b"}', b'{"predictions": []}'])
def test_what_is_no_prediction_is_said(body: bytes) -> None:
    with pytest.raises(ContractError, match="the endpoint's answer is no prediction"):
        read_prediction(body)
    with pytest.raises(ContractError, match="the endpoint's answer is no prediction"):
        read_predictions(body, 1)


def test_the_content_type_follows_from_the_bytes() -> None:
    found = {kind: content_type(encoded(1, kind)) for kind in ("JPEG", "PNG", "WEBP", "GIF")}
    assert found == {
        "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "application/x-image",
    }  # fmt: skip

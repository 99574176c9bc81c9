"""The model card follows the registry's schema and says what a reader must know."""

from __future__ import annotations

import json

import jsonschema
import pytest

from contracts import evaluation as contract
from tests.training.evaluation.card_schema import CARD
from tests.training.evaluation.steps import Item, Step, both_splits, vars_of
from training.model_card import licence_terms


def test_the_model_card_follows_the_registrys_schema(evaluated: Step) -> None:
    text = evaluated.text("model_card.json")
    assert "\n" not in text and len(text) < contract.MAX_MODEL_CARD_CHARACTERS
    card = json.loads(text)
    jsonschema.validate(card, CARD)
    (details,) = card["evaluation_details"]
    assert [group["name"] for group in details["metric_groups"]] == [
        "Test split", "Slice camera=new", "Slice camera=old", "Difference from the champion",
    ]  # fmt: skip
    by_name = {item["name"]: item for item in details["metric_groups"][0]["metric_data"]}
    found = evaluated.found
    assert by_name["balanced accuracy"]["value"] == found["metrics"]["balanced_accuracy"]["value"]
    assert by_name["confusion matrix"]["value"] == found["confusion"]
    assert details["metadata"]["protocol"] == "group" and details["metadata"]["outcome"] == "refuse"


def test_the_model_card_says_licence_protocol_and_limits(evaluated: Step) -> None:
    card = json.loads(evaluated.text("model_card.json"))
    additional = card["additional_information"]
    assert additional["custom_details"]["licence_of_training_images"] == "CC BY-NC-SA 4.0"
    assert "no commercial use" in additional["caveats_and_recommendations"]
    assert "protocol group" in additional["caveats_and_recommendations"]
    assert "Weakest slice: camera old" in card["intended_uses"]["factors_affecting_model_efficiency"]
    assert card["additional_information"]["custom_details"]["bundle_hash"] == evaluated.found["bundle_hash"]


def test_a_card_of_long_names_keeps_its_limits(step: Step) -> None:
    long = "x" * 3000
    chosen = [Item(**{**vars_of(item), "slices": {"camera": long}}) for item in both_splits()]
    step.prepare(chosen, source=long, licence=long)
    step.train()
    step.no_champion()
    assert step.run() == 0
    jsonschema.validate(json.loads(step.text("model_card.json")), CARD)


@pytest.mark.parametrize(
    ("licence", "says"),
    [
        ("CC BY-NC-SA 4.0", "no commercial use"),
        ("cc-by-nc-4.0", "no commercial use"),
        ("Non-Commercial Licence", "no commercial use"),
        ("CC BY 4.0", "under CC BY 4.0."),
        ("", "not known"),
    ],
)
def test_what_a_licence_means_is_said(licence: str, says: str) -> None:
    assert says in licence_terms(licence)
    assert ("no commercial use" in licence_terms(licence)) == (says == "no commercial use")

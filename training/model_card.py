"""``model_card.json``: the model card of a model package, as SageMaker's registry keeps it.

Its schema is a simplified form of a model card's: SageMaker Developer Guide, "Update the Details of a Model Version",
section "Model package model card schema". The API's pattern for the text allows no line break, so it is one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contracts import evaluation as contract
from contracts import jsonio
from contracts.errors import ContractError
from training.report.parts import LABELS
from training.scoring import metrics
from training.scoring.evaluation import Evaluation
from training.scoring.intervals import Interval

_LONG, _TEXT, _OBSERVATION, _NAME, _SHORT = 2048, 1024, 2096, 255, 63
#: A matrix metric has at most this many rows and columns.
_MATRIX = 20
#: Slices that get a metric group of their own.
_SLICES = 20
_NON_COMMERCIAL = ("-NC", "NONCOMMERCIAL", "NON-COMMERCIAL")


def render(found: Evaluation) -> str:
    """The card's text.

    Raises:
        ContractError: it would be longer than the registry accepts.
    """
    text = jsonio.canonical(content(found))
    if len(text) > contract.MAX_MODEL_CARD_CHARACTERS:
        raise ContractError(
            f"the model card has {len(text)} characters; the registry accepts {contract.MAX_MODEL_CARD_CHARACTERS}"
        )
    return text


def content(found: Evaluation) -> dict[str, Any]:
    """The card as a JSON value."""
    spec, data = found.spec, found.dataset
    classes = _listed(spec.classes)
    terms = licence_terms(data.licence)
    return {
        "model_overview": {"model_creator": f"cv-factory, recipe {spec.recipe}"[:_TEXT]},
        "intended_uses": {
            "purpose_of_model": f"Classifies an image as one of: {classes}."[:_LONG],
            "intended_uses": (
                f"Images of the kind that it was trained on (source {data.source}), one object an image, "
                f"stretched to {spec.input_size} x {spec.input_size} pixels. A person should look at answers with low "
                f"confidence. {terms}"
            )[:_LONG],
            "factors_affecting_model_efficiency": _limits(found)[:_LONG],
            "risk_rating": "Unknown",
            "explanations_for_risk_rating": "The risk depends on what the answers are used for. Nobody has rated it.",
        },
        "training_details": {
            "training_observations": (
                f"Recipe {spec.recipe}. Dataset {data.dataset_hash}, protocol {data.protocol}, split seed {data.seed}. "
                f"Sources {spec.source_hash}. Served as {found.choice.precision}, temperature {spec.temperature:.4g}."
            )[:_TEXT],
            "training_job_details": {"training_datasets": [f"{data.source} ({data.dataset_hash})"[:_TEXT]]},
        },
        "evaluation_details": [
            {
                "name": f"Test split, protocol {data.protocol}"[:_SHORT],
                "evaluation_observation": found.verdict.message[:_OBSERVATION],
                "datasets": [f"{data.source} ({data.dataset_hash}), test split, {len(found.answers)} images"[:_TEXT]],
                "metadata": {
                    "protocol": data.protocol,
                    "bundle_hash": spec.bundle_hash,
                    "champion": found.comparison.bundle_hash if found.comparison else "none",
                    "outcome": found.verdict.outcome,
                },
                "metric_groups": _groups(found),
            }
        ],
        "additional_information": {
            "ethical_considerations": (
                "The model repeats what its labels say, with their mistakes. Images of people were not foreseen."
            ),
            "caveats_and_recommendations": (
                f"{terms} Scores hold for the protocol {data.protocol} only: "
                + (
                    "whole groups of images were kept out of training, as with objects that the model never saw."
                    if data.protocol == "group"
                    else "images of one object may lie in training and in test, which flatters the scores."
                )
            )[:_LONG],
            "custom_details": {
                "licence_of_training_images": (data.licence or "unknown")[:_TEXT],
                "dataset_hash": data.dataset_hash,
                "source_hash": spec.source_hash,
                "bundle_hash": spec.bundle_hash,
                "protocol": data.protocol,
                "classes": classes[:_TEXT],
            },
        },
    }


def licence_terms(licence: str) -> str:
    """What the licence of the training images means for the model, in a sentence."""
    if not licence:
        return "The licence of the training images is not known: find it out before the model is used."
    if any(mark in licence.upper() for mark in _NON_COMMERCIAL):
        return (
            f"The training images are under {licence}: no commercial use, and the model should be treated as "
            "under the same terms."
        )
    return f"The training images are under {licence}."


def _limits(found: Evaluation) -> str:
    slices = sorted(
        (value, name)
        for name, part in found.slices.items()
        if part.gated and (value := part.metrics[contract.BALANCED_ACCURACY].value) is not None
    )
    parts = ["Images of another kind, another camera or another look lower the quality; nothing warns of them yet."]
    if slices:
        value, name = slices[0]
        parts.append(f"Weakest slice: {name.replace('=', ' ')}, balanced accuracy {value:.3f}.")
    error = found.metrics[contract.ECE].value
    if error is not None:
        parts.append(f"Expected calibration error {error:.3f}.")
    return " ".join(parts)


def _groups(found: Evaluation) -> list[dict[str, Any]]:
    groups = [_group("Test split", found.metrics, contract.METRICS)]
    classes = found.spec.classes
    if len(classes) <= _MATRIX:
        names = [name[:_SHORT] for name in classes]
        matrix = {
            "name": "confusion matrix",
            "type": "matrix",
            "value": metrics.confusion(found.scores),
            "x_axis_name": names,
            "y_axis_name": names,
            "notes": "Rows are the truth, columns the answers.",
        }
        groups[0]["metric_data"].append(matrix)
    gated = [(name, part) for name, part in found.slices.items() if part.gated][:_SLICES]
    groups += [_group(f"Slice {name}", part.metrics, metrics.SCORED) for name, part in gated]
    if found.comparison is not None:
        data = []
        for name, difference in found.comparison.differences.items():
            if difference.value is not None and difference.lower_95 is not None:
                data.append(
                    {
                        "name": LABELS[name],
                        "type": "number",
                        "value": round(difference.value, 6),
                        "notes": f"This model minus the champion on {found.comparison.images} images; one-sided 95 "
                        f"percent lower bound {difference.lower_95:.4f}.",
                    }
                )
        if data:
            groups.append({"name": "Difference from the champion", "metric_data": data})
    return groups


def _group(title: str, values: Mapping[str, Interval], names: Sequence[str]) -> dict[str, Any]:
    data: list[dict[str, Any]] = []
    for name in names:
        interval = values[name]
        if interval.value is None:
            continue
        item: dict[str, Any] = {"name": LABELS[name][:_NAME], "type": "number", "value": round(interval.value, 6)}
        if interval.low is not None and interval.high is not None and interval.low != interval.high:
            item["notes"] = f"95 percent interval {interval.low:.4f} to {interval.high:.4f}"
        data.append(item)
    return {"name": title[:_SHORT], "metric_data": data}


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(classes)

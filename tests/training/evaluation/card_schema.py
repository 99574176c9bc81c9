"""The model registry's schema of a model card, as a JSON schema that knows no further property."""

from __future__ import annotations

_TEXT_63, _TEXT_1024, _TEXT_2048 = ({"type": "string", "maxLength": size} for size in (63, 1024, 2048))
_NAME_63 = {"type": "string", "pattern": "^.{1,63}$"}


def closed(properties: dict[str, object], *required: str) -> dict[str, object]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


#: What the Developer Guide says of a model package's card, as far as this project writes it.
CARD = closed(
    {
        "model_overview": closed({"model_creator": _TEXT_1024}),
        "intended_uses": closed(
            {
                "purpose_of_model": _TEXT_2048,
                "intended_uses": _TEXT_2048,
                "factors_affecting_model_efficiency": _TEXT_2048,
                "risk_rating": {"enum": ["High", "Medium", "Low", "Unknown"]},
                "explanations_for_risk_rating": _TEXT_2048,
            }
        ),
        "training_details": closed(
            {
                "training_observations": _TEXT_1024,
                "training_job_details": closed({"training_datasets": {"type": "array", "items": _TEXT_1024}}),
            }
        ),
        "evaluation_details": {
            "type": "array",
            "items": closed(
                {
                    "name": _NAME_63,
                    "evaluation_observation": {"type": "string", "maxLength": 2096},
                    "datasets": {"type": "array", "maxItems": 10, "items": _TEXT_1024},
                    "metadata": {"type": "object", "additionalProperties": _TEXT_1024},
                    "metric_groups": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "metric_data"],
                            "properties": {
                                "name": _NAME_63,
                                "metric_data": {
                                    "type": "array",
                                    "items": {
                                        "oneOf": [
                                            closed(
                                                {
                                                    "name": {"type": "string", "pattern": "^.{1,255}$"},
                                                    "notes": _TEXT_1024,
                                                    "type": {"const": "number"},
                                                    "value": {"type": "number"},
                                                },
                                                "name", "type", "value",
                                            ),
                                            closed(
                                                {
                                                    "name": {"type": "string", "pattern": "^.{1,255}$"},
                                                    "notes": _TEXT_1024,
                                                    "type": {"const": "matrix"},
                                                    "value": {
                                                        "type": "array", "minItems": 1, "maxItems": 20,
                                                        "items": {
                                                            "type": "array", "minItems": 1, "maxItems": 20,
                                                            "items": {"type": "number"},
                                                        },
                                                    },
                                                    "x_axis_name": {"type": "array", "items": _TEXT_63},
                                                    "y_axis_name": {"type": "array", "items": _TEXT_63},
                                                },
                                                "name", "type", "value",
                                            ),
                                        ]
                                    },
                                },
                            },
                        },
                    },
                },
                "name",
            ),
        },
        "additional_information": closed(
            {
                "ethical_considerations": _TEXT_2048,
                "caveats_and_recommendations": _TEXT_2048,
                "custom_details": {"type": "object", "additionalProperties": _TEXT_1024},
            }
        ),
    }
)  # fmt: skip

"""The endpoint's payload as an OpenAPI 3.1 description; ``docs/openapi.json`` is written from it."""

from __future__ import annotations

from typing import Any

from contracts import invocation


def document() -> dict[str, Any]:
    """The description, for JSON. The error codes are those of :data:`contracts.invocation.ERRORS`."""
    by_status: dict[int, list[str]] = {}
    for code, status in invocation.ERRORS.items():
        by_status.setdefault(status, []).append(code)
    image = {"schema": {"type": "string", "format": "binary"}}
    lines = {"schema": {"type": "string", "description": "One document (Image or ImageUrl) a line."}}
    answers = {
        "200": {
            "description": "The prediction, or those of the batch in its order.",
            "content": {
                invocation.JSON: {"schema": {"oneOf": [_ref("Prediction"), _ref("Predictions")]}},
                invocation.JSON_LINES: {
                    "schema": {"type": "string", "description": "A Prediction or an Error for each line."}
                },
            },
        },
        **{
            str(status): {
                "description": ", ".join(sorted(codes)),
                "content": {invocation.JSON: {"schema": _ref("Error")}},
            }
            for status, codes in sorted(by_status.items())
        },
    }
    body = {
        **dict.fromkeys((*invocation.IMAGE_TYPES, invocation.ANY_IMAGE), image),
        invocation.JSON: {"schema": {"oneOf": [_ref("Image"), _ref("ImageUrl"), _ref("Instances")]}},
        invocation.JSON_LINES: lines,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cv-factory endpoint",
            "version": "1",
            "description": "What the serving container answers. Through SageMaker it is InvokeEndpoint, and an error"
            " arrives as ModelError.",
        },
        "paths": {
            "/invocations": {
                "post": {
                    "parameters": [
                        {
                            "name": "Content-Encoding",
                            "in": "header",
                            "required": False,
                            "schema": {"enum": ["gzip", "identity"]},
                        }
                    ],
                    "requestBody": {"required": True, "content": body},
                    "responses": answers,
                }
            },
            "/ping": {
                "get": {
                    "responses": {
                        "200": {"description": "The model is loaded and warm."},
                        "503": {"description": "It is not, or the container is being stopped."},
                    }
                }
            },
        },
        "components": {"schemas": _SCHEMAS},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_SCHEMAS: dict[str, Any] = {
    "Image": _object({"image": {"type": "string", "contentEncoding": "base64"}}),
    "ImageUrl": _object({"image_url": {"type": "string", "format": "uri", "pattern": "^https://"}}),
    "Instances": _object(
        {"instances": {"type": "array", "minItems": 1, "items": {"oneOf": [_ref("Image"), _ref("ImageUrl")]}}}
    ),
    "Prediction": _object(
        {
            "predicted_label": {"type": "string"},
            "confidence": _SHARE,
            "probabilities": {"type": "object", "additionalProperties": _SHARE},
        }
    ),
    "Predictions": _object({"predictions": {"type": "array", "items": _ref("Prediction")}}),
    "Error": _object(
        {"error": _object({"code": {"enum": sorted(invocation.ERRORS)}, "message": {"type": "string"}})},
    ),
}

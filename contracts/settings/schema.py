"""``factory.schema.json``: what an editor checks while the file is being written."""

from __future__ import annotations

from typing import Any

from contracts.settings.model import Settings


def json_schema() -> dict[str, Any]:
    """The JSON schema of ``factory.yaml``: every key optional (each has a default), none unknown."""
    schema = Settings.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for part in (schema, *definitions.values()):
        part.pop("required", None)
    properties = schema["properties"]
    properties.pop("env")
    overrides = {key: value for key, value in properties.items() if key != "name"}
    definitions["Environment"] = {"type": "object", "additionalProperties": False, "properties": overrides}
    properties["environments"] = {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9]{0,9}$"},
        "additionalProperties": {"anyOf": [{"$ref": "#/$defs/Environment"}, {"type": "null"}]},
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "cv-factory settings"
    return schema

"""``factory.schema.json``: what an editor shows is what the reader checks."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from contracts import jsonio, settings, source

SCHEMA = source.root() / "factory.schema.json"


def _shipped() -> dict[str, Any]:
    value = yaml.safe_load((source.root() / "factory.yaml").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def test_the_committed_schema_is_what_the_settings_say() -> None:
    committed = SCHEMA.read_text(encoding="utf-8")
    assert committed == jsonio.pretty(settings.json_schema()), "python tests/contract/update_schema.py"


def test_it_is_a_json_schema_and_the_shipped_file_names_and_satisfies_it() -> None:
    schema = json.loads(SCHEMA.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(_shipped(), schema)
    first = (source.root() / "factory.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./factory.schema.json"


@pytest.mark.parametrize(
    "change",
    [
        {"traning": {}},
        {"training": {"spot": "yes"}},
        {"training": {"instance_count": 0}},
        {"release": {"approval": "perhaps"}},
        {"gate": {"min": {"beauty": 1}}},
        {"env": "dev"},
        {"environments": {"dev": {"name": "other"}}},
        {"environments": {"dev": {"training": {"sed": 1}}}},
        {"environments": {"Dev!": {}}},
    ],
)
def test_what_the_reader_refuses_an_editor_marks(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**_shipped(), **change}, json.loads(SCHEMA.read_bytes()))

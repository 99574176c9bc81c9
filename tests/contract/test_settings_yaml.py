"""How the settings file is read as YAML, and files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts import settings
from contracts.errors import SettingsError
from tests.contract.settings_file import refused


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"),
        ("true", True), ("False", False), ("null", None), ("~", None),
        ("12:30", "12:30"), ("190:20:30", "190:20:30"), ("2026-11-24", "2026-11-24"),
        ("012", 12), ("0o14", 12), ("0xC", 12), ("1_000", "1_000"), ("0b11", "0b11"),
        ("1e3", 1000.0), (".5", 0.5), ("+1.5", 1.5), ("1.", 1.0), ("-7", -7), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, scalar: str, value: Any) -> None:
    from contracts.settings import yaml12

    path = tmp_path / "x.yaml"
    path.write_text(f"key: {scalar}\n")
    found = yaml12.read(path).value["key"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nname: b\n", "factory.yaml:2: name is set twice (first on line 1)"),
        (
            "aws:\n  region: a\n  account_id: b\n  region: c\n",
            "factory.yaml:4: aws.region is set twice (first on line 2)",
        ),
        ("- a\n- b\n", "factory.yaml: the file must be a map of settings, not a list"),
        ("just text\n", "factory.yaml: the file must be a map of settings, not text"),
        ("name: [a\n", "factory.yaml:2: "),
        ("name: a\n\tb: c\n", "factory.yaml:2: "),
        ("a: 1\n---\nb: 2\n", "factory.yaml:2: "),
        ("a: &x [1]\nb: *x\n", "factory.yaml:2: aliases are not supported"),
        ("a: &x [*x]\n", "factory.yaml:1: aliases are not supported"),
        ("1: x\n", "factory.yaml:1: a key must be text, not '1'"),
        ("{[a]: b}\n", "factory.yaml:1: a key must be text"),
        ("a: !!python/object:os.system x\n", "factory.yaml:1: could not determine a constructor"),
        ("a: \x00\n", "factory.yaml: not YAML"),
        ("a: " + "[" * 5000, "factory.yaml: not a file of settings"),
        ("environments: [dev]\n", "factory.yaml:1: environments must be a map, not a list"),
        ("environments:\n  dev: quick\n", "factory.yaml:2: environments.dev must be a map, not text"),
        (
            "environments: {local: {training: 3}}\n",
            "factory.yaml:1: environments.local.training must be a map, not a number",
        ),
        ("environments: {local: {name: other}}\n", "factory.yaml:1: name is the same for all environments"),
    ],
)
def test_a_file_that_is_no_map_of_settings_is_refused_in_one_sentence(file: Path, text: str, says: str) -> None:
    assert refused(file, text).headline.startswith(says)


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"name: \xff\n")
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        settings.load(file)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        settings.load(tmp_path / "nowhere.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        settings.load(tmp_path)

"""Defaults, file and environment -> settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts.errors import SettingsError
from contracts.settings import problems, rules, yaml12
from contracts.settings.model import SECTIONS, Settings, fields
from contracts.settings.yaml12 import Document, KeyPath

DEFAULTS = Path(__file__).resolve().parent.parent / "defaults.yaml"
DEFAULT_FILE = "factory.yaml"
DEFAULT_ENV = "local"


@cache
def _defaults() -> Document:
    return yaml12.read(DEFAULTS)


def environments(file: Path | str = DEFAULT_FILE) -> tuple[str, ...]:
    """The environments that ``file`` names, ``local`` always among them."""
    return tuple(dict.fromkeys((DEFAULT_ENV, *_environments(yaml12.read(Path(file))))))


def load(file: Path | str = DEFAULT_FILE, env: str = DEFAULT_ENV) -> Settings:
    """The settings of environment ``env`` in ``file``.

    Raises:
        SettingsError: with the line, the value, what is allowed and, for an unknown key, the nearest one; or the rule
            of ``forbidden_pairs.yaml`` that a pair of settings breaks.
    """
    document = yaml12.read(Path(file))
    named = _environments(document)
    if env not in named and env != DEFAULT_ENV:
        near = difflib.get_close_matches(env, [*named, DEFAULT_ENV], 1)
        raise SettingsError(
            f"{document.file}: there is no environment {env!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            f"Known: {', '.join(dict.fromkeys([DEFAULT_ENV, *named]))}. Add it below environments, or change --env.",
        )
    if "env" in document.value:
        raise SettingsError(document.at(("env",)) + "env is not a setting", "The environment is chosen with --env.")
    _check_unquoted(document, named)

    base = {key: value for key, value in document.value.items() if key != "environments"}
    override = named.get(env) or {}
    for path, value in (((), base), (("environments", env), override)):
        _check_maps(document, path, value)
    if "name" in override:
        raise SettingsError(
            document.at(("environments", env, "name")) + "name is the same for all environments",
            "Set it at the top of the file; the environment is part of every resource's name already.",
        )
    defaults = {key: value for key, value in _defaults().value.items() if key != "environments"}
    merged = {**_merge(_merge(defaults, base), override), "env": env}
    try:
        settings = Settings.model_validate(_tuples(merged))
    except ValidationError as error:
        raise problems.explain(error, document, env) from None
    rules.check(settings, document)
    return settings


def _environments(document: Document) -> dict[str, Any]:
    named = document.value.get("environments") or {}
    if not isinstance(named, dict):
        raise SettingsError(
            document.at(("environments",)) + f"environments must be a map, not {yaml12.kind(named)}",
            "For example: environments: {dev: {release: {approval: automatic}}}",
        )
    for env, override in named.items():
        if not isinstance(override, dict | None):
            raise SettingsError(
                document.at(("environments", env)) + f"environments.{env} must be a map, not {yaml12.kind(override)}",
                f"It takes: {', '.join(SECTIONS)}.",
            )
    return named


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` wins key by key, one level deep; anything deeper is replaced."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


def _check_maps(document: Document, path: KeyPath, value: Mapping[str, Any]) -> None:
    for section, content in value.items():
        if section in SECTIONS and not isinstance(content, dict):
            raise SettingsError(
                document.at((*path, section))
                + f"{'.'.join((*path, section))} must be a map, not {yaml12.kind(content)}",
                f"It takes: {', '.join(fields((section,)))}.",
            )


def _tuples(value: Any) -> Any:
    """Lists as tuples: strict validation takes no list for a tuple, and settings are frozen."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _check_unquoted(document: Document, named: Mapping[str, Any]) -> None:
    """An account id without quotes is a number for one reader and text for another."""
    places: list[tuple[KeyPath, Any]] = [(("aws", "account_id"), document.value.get("aws"))]
    for env, override in named.items():
        places.append((("environments", env, "aws", "account_id"), (override or {}).get("aws")))
    for path, section in places:
        value = section.get("account_id") if isinstance(section, dict) else None
        if value is not None and not isinstance(value, str):
            raise SettingsError(
                document.at(path) + f"{'.'.join(path)} is the number {value}; an account id is text",
                f'Put it in quotes: account_id: "{value:012d}"' if isinstance(value, int) else "Put it in quotes.",
            )

"""The definition of each shipped environment, as committed, is what this code builds and what SageMaker would take."""

from __future__ import annotations

import json

import pytest

import pipeline_definition
from contracts import jsonio, settings
from tests.pipeline_definition import oracle
from tests.pipeline_definition.update_golden import FACTORY, GOLDEN, SOURCE_HASH, render

ENVIRONMENTS = settings.environments(FACTORY)


def test_there_is_one_golden_definition_for_each_environment() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(ENVIRONMENTS)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_committed_definition_is_what_is_built(env: str) -> None:
    committed = (GOLDEN / f"{env}.json").read_text(encoding="utf-8")
    assert render(env) == committed, "wanted? python tests/pipeline_definition/update_golden.py"


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_sagemaker_would_take_the_committed_definition(env: str) -> None:
    values = settings.load(FACTORY, env)
    text = jsonio.canonical(json.loads((GOLDEN / f"{env}.json").read_text(encoding="utf-8")))
    oracle.check(text, values.names.pipeline, values.role_arn("pipeline"))


def test_the_definition_is_canonical_and_the_same_twice() -> None:
    values = settings.load(FACTORY, "dev")
    first = pipeline_definition.build(values, source_hash=SOURCE_HASH)
    assert first == jsonio.canonical(json.loads(first))
    assert first == pipeline_definition.build(values, source_hash=SOURCE_HASH)


def test_without_a_given_hash_the_image_is_named_after_this_checkouts_sources() -> None:
    from contracts import source

    text = pipeline_definition.build(settings.load(FACTORY, "local"))
    assert f"/training:{source.source_tag('training')}" in text
    assert source.source_hash("training") in text

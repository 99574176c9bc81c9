"""Every member of every request that changes something is classed, and what is refused is refused by name."""

from __future__ import annotations

import importlib
import pkgutil
from types import SimpleNamespace
from typing import Any

import pytest

import local_sagemaker
from local_sagemaker import api, fields, validation
from local_sagemaker.errors import ValidationException


def _registered() -> set[str]:
    """The operations of every module that registers handlers."""
    for info in pkgutil.walk_packages(local_sagemaker.__path__, "local_sagemaker."):
        if info.name.rpartition(".")[2] in ("api", "registry", "models", "tags", "groups", "packages", "configs"):
            importlib.import_module(info.name)
    return set(api.OPERATIONS)


def test_every_operation_that_changes_something_has_a_table() -> None:
    changing = {name for name in _registered() if not fields.reads_only(name)}
    assert changing - set(fields.table()) == set()


@pytest.mark.parametrize("operation", sorted(fields.table()))
def test_every_member_is_classed(operation: str) -> None:
    shape = validation.operation_model(operation).input_shape
    assert shape is not None
    unclassed = [path for path in fields.members(shape) if fields.kind_of(operation, path) is None]
    assert unclassed == []


@pytest.mark.parametrize("operation", sorted(fields.table()))
def test_the_table_names_only_what_botocore_knows(operation: str) -> None:
    shape = validation.operation_model(operation).input_shape
    assert shape is not None
    known = set(fields.members(shape))
    assert set(fields.table()[operation]) - known == set()
    assert set(fields.table()[operation].values()) <= set(fields.CLASSES)


def _call(operation: str, request: dict[str, Any]) -> Any:
    return SimpleNamespace(operation=operation, request=request)


def test_a_refused_member_is_named_with_its_hint() -> None:
    variant = {"VariantName": "v", "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    request = {"EndpointConfigName": "c", "ProductionVariants": [{"VariantName": "a"}, variant]}
    with pytest.raises(ValidationException) as error:
        fields.refuse(_call("CreateEndpointConfig", request))
    assert "ProductionVariants.ServerlessConfig is not supported by the local SageMaker." in error.value.message
    assert "InitialInstanceCount" in error.value.message


@pytest.mark.parametrize("empty", [None, False, "", [], {}])
def test_an_empty_refused_member_passes(empty: Any) -> None:
    fields.refuse(_call("CreateModelPackage", {"CertifyForMarketplace": empty}))


def test_executed_does_not_cover_what_is_below() -> None:
    assert fields.kind_of("UpdateEndpoint", "DeploymentConfig") == "executed"
    assert fields.kind_of("UpdateEndpoint", "DeploymentConfig.BrandNew") is None
    assert fields.kind_of("CreateModel", "VpcConfig.Subnets") == "recorded"

"""The registry's handlers on a store of their own, with the events that they would send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker import api, registry, tags
from local_sagemaker.faults import Faults
from local_sagemaker.store import Store

HANDLERS = (registry, tags)
ACCOUNT, REGION = "123456789012", "ap-southeast-1"


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@dataclass
class Events:
    sent: list[dict[str, Any]] = field(default_factory=list)

    def publish(self, source: str, detail_type: str, detail: dict[str, Any], resources: list[str], region: str) -> None:
        event = {
            "source": source,
            "detail-type": detail_type,
            "detail": detail,
            "resources": resources,
            "region": region,
        }
        self.sent.append(event)


class State:
    def flush(self, *services: str) -> None:
        """There is nothing of moto's here."""


@dataclass
class Registry:
    """Calls operations as a client would: ``registry("CreateModelPackageGroup", ModelPackageGroupName="g")``."""

    store: Store
    events: Events
    state: State
    faults: Faults

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        caller = f"arn:aws:iam::{ACCOUNT}:user/someone"
        return api.perform(api.Call(self, operation, ACCOUNT, REGION, caller, request))  # type: ignore[arg-type]


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Registry]:
    store = Store(tmp_path / "store.sqlite", Clock())
    yield Registry(store, Events(), State(), Faults(store))
    store.close()


@pytest.fixture
def group(call: Registry) -> str:
    call("CreateModelPackageGroup", ModelPackageGroupName="Cells")
    return "Cells"


SPECIFICATION = {
    "Containers": [
        {"Image": "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/serve:1", "ModelDataUrl": "s3://b/m.tar.gz"}
    ],
    "SupportedContentTypes": ["image/png"],
    "SupportedResponseMIMETypes": ["application/json"],
}


@pytest.fixture
def specification() -> dict[str, Any]:
    return SPECIFICATION

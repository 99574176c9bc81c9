from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_an_endpoint_is_created_serves_and_is_deleted(local: Any) -> None:
    name = local.endpoint(local.config({"model": local.model(environment={"VERSION": "1"})}))
    described = local.describe(name)
    assert described["EndpointStatus"] == "InService"
    answer = local.ask(name)
    assert answer["version"] == "1"
    local.delete(name)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        local.describe(name)

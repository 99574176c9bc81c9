from __future__ import annotations

import pytest

from local_sagemaker.endpoints.settings import Settings


def test_limits_are_those_of_aws_unless_the_environment_says_otherwise() -> None:
    assert Settings.from_environment({}) == Settings()
    assert (Settings().startup_seconds, Settings().invocation_seconds, Settings().body_bytes) == (480, 60, 6_291_456)
    given = {"LOCAL_SAGEMAKER_HOSTING_STARTUP_SECONDS": "1.5", "LOCAL_SAGEMAKER_HOSTING_INSTANCES": "3"}
    assert Settings.from_environment(given) == Settings(startup_seconds=1.5, instances=3)
    with pytest.raises(ValueError, match="many"):
        Settings.from_environment({"LOCAL_SAGEMAKER_HOSTING_INSTANCES": "many"})
